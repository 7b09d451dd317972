//! What comes back is what there was.

use std::fs;
use std::os::unix::net::UnixListener;

use armor_checkpoint_store::{Draft, Reason, Root, Rules, StoreError};
use armor_core::checkpoint::CheckpointCause;
use armor_core::execution::CommandLine;
use armor_core::risk::{Assessment, Circumstances, Risk};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::archive::draft;
use crate::plot::{Deed, act, act_all, deed};
use crate::support::{Place, describe};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    // R23, R24: each checkpoint is the tree as it was at its moment, however it was changed before and
    // behind that.
    #[test]
    fn every_checkpoint_comes_back_as_the_tree_was(
        first in vec(deed(), 0..40), later in vec(vec(deed(), 0..12), 0..4),
    ) {
        let place = Place::new();
        let mut taken = Vec::new();
        for deeds in std::iter::once(&first).chain(&later) {
            act_all(&place.tree(), deeds);
            let before = describe(&place.tree());
            taken.push((place.take(), before));
        }
        for (manifest, before) in &taken {
            let restored = place.restore(manifest);
            prop_assert_eq!(&describe(&restored), before);
        }
        let verified = place.store.verify(None).unwrap();
        prop_assert_eq!(verified.whole.len(), taken.len());
        prop_assert!(verified.findings.is_empty(), "{:?}", verified.findings);
    }
}

// R27: the reason stands in the manifest, and in no other one.
#[test]
fn what_was_thought_of_a_command_comes_back_with_the_checkpoint() {
    let place = Place::new();
    let command = CommandLine::Shell("rm -rf x".to_owned());
    let risk = Assessment::new(Risk::of(&command, &Circumstances::default()), 50);
    let draft = Draft { cause: CheckpointCause::BeforeRisk, risk: Some(risk.clone()), ..draft() };
    let (id, task) = (draft.id.clone(), draft.task.clone());
    let text = |id: &str| {
        let file = format!("home/checkpoints/manifests/{task}/{id}.json");
        fs::read_to_string(place.path(&file)).unwrap()
    };
    place
        .store
        .take(draft, &[Root { name: "workspace", path: &place.tree() }], &Rules::none())
        .unwrap();
    assert_eq!(place.store.get(&task, &id).unwrap().risk, Some(risk));
    assert!(text(id.as_str()).contains(r#""cause":"before_risk""#));
    let other = place.take();
    assert_eq!(other.task, task);
    assert!(!text(other.id.as_str()).contains("risk"));
    assert_eq!(place.store.get(&task, &other.id).unwrap().risk, None);
}

#[test]
fn holes_stay_holes() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    act(&place.tree(), &Deed::Sparse { at: b"a".to_vec(), hole: 8 << 20, bytes: 4096 });
    let manifest = place.take();
    let restored = place.restore(&manifest).join("a");
    let stat = fs::metadata(restored).unwrap();
    assert_eq!(stat.len(), (8 << 20) + 4096);
    assert!(stat.blocks() * 512 < 1 << 20, "{} blocks", stat.blocks());
    assert!(manifest.stats().bytes_added < 1 << 20);
}

#[test]
fn a_tree_of_two_thousand_levels_comes_back() {
    let place = Place::new();
    let mut level = rustix::fs::open(
        place.tree(),
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    for _ in 0..2040 {
        rustix::fs::mkdirat(&level, "d", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        level = rustix::fs::openat(&level, "d", flags, rustix::fs::Mode::empty()).unwrap();
    }
    let manifest = place.take();
    assert_eq!(manifest.stats().folders, 2040);
    assert_eq!(manifest.root("workspace").unwrap().left_out, []);
    let restored = place.path("restored");
    let restored = place.store.restore(&manifest, "workspace", &restored).unwrap();
    assert_eq!(restored.folders, 2040);
}

#[test]
fn what_cannot_be_kept_is_told_and_the_rest_is_kept() {
    let place = Place::new();
    let _socket = UnixListener::bind(place.tree().join("socket")).unwrap();
    fs::write(place.tree().join("file"), "text").unwrap();
    let manifest = place.take();
    let left_out = &manifest.root("workspace").unwrap().left_out;
    let left_out: Vec<_> = left_out.iter().map(|out| (out.path.as_str(), out.reason)).collect();
    assert_eq!(left_out, [("socket", Reason::Socket)]);
    assert_eq!(fs::read_to_string(place.restore(&manifest).join("file")).unwrap(), "text");
}

#[test]
fn nothing_is_restored_over_something_or_outside_a_tree() {
    let place = Place::new();
    fs::write(place.tree().join("file"), "text").unwrap();
    let manifest = place.take();
    let restore = |to: &str, root: &str| place.store.restore(&manifest, root, &place.path(to));
    let occupied = |restored| matches!(restored, Err(StoreError::Occupied { .. }));
    assert!(occupied(restore("tree", "workspace")));
    assert!(occupied(restore("tree/file", "workspace")));
    assert!(matches!(restore("new", "memory"), Err(StoreError::NoSuchRoot { .. })));
    assert!(restore("missing/new", "workspace").is_err());
    fs::create_dir(place.path("empty")).unwrap();
    assert!(restore("empty", "workspace").is_ok());
    assert_eq!(fs::read_to_string(place.path("empty/file")).unwrap(), "text");
    let unknown = "none".parse().unwrap();
    assert!(matches!(place.store.get(&Place::task(), &unknown), Err(StoreError::NotFound { .. })));
}
