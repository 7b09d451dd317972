//! Damage is found and named, and what is not damaged comes back.

use std::fs;
use std::path::PathBuf;

use armor_checkpoint_store::{Finding, StoreError};

use crate::support::{Place, describe};

fn packs(place: &Place) -> Vec<PathBuf> {
    let folder = place.path("home/checkpoints/packs");
    let mut packs: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    packs.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    packs
}

fn flip(file: &PathBuf, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Two checkpoints that share nothing but a pack each.
fn two(place: &Place) -> [armor_checkpoint_store::Manifest; 2] {
    fs::write(place.tree().join("one"), "one").unwrap();
    let first = place.take();
    fs::remove_file(place.tree().join("one")).unwrap();
    fs::write(place.tree().join("two"), "two").unwrap();
    [first, place.take()]
}

// R23: each bit of a pack counts.
#[test]
fn a_bit_that_flips_in_a_pack_is_found_wherever_it_is() {
    let place = Place::new();
    let [first, second] = two(&place);
    let pack = packs(&place).remove(0);
    let whole = fs::read(&pack).unwrap();
    for at in 13..whole.len() {
        flip(&pack, at);
        let verified = place.store.verify(None).unwrap();
        assert_eq!(verified.whole, std::slice::from_ref(&second.id), "bit {at}");
        assert!(!verified.findings.is_empty());
        let error = place.store.restore(&first, "workspace", &place.path("new")).unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        assert!(!place.path("new").exists());
        fs::write(&pack, &whole).unwrap();
    }
    assert_eq!(place.store.verify(None).unwrap().whole.len(), 2);
    place.restore(&first);
}

#[test]
fn a_damaged_manifest_is_named_and_the_others_are_there() {
    let place = Place::new();
    let [first, second] = two(&place);
    let manifest = place.path("home/checkpoints/manifests/a-task/number-0.json");
    let whole = fs::read(&manifest).unwrap();
    for at in (0..whole.len()).step_by(7) {
        flip(&manifest, at);
        assert_eq!(
            place.store.list(&Place::task()).unwrap(),
            std::slice::from_ref(&second),
            "bit {at}"
        );
        let error = place.store.get(&Place::task(), &first.id).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        let findings = place.store.verify(None).unwrap().findings;
        assert!(matches!(findings[..], [Finding::File(StoreError::Damaged { .. })]));
        fs::write(&manifest, &whole).unwrap();
    }
    assert_eq!(place.store.list(&Place::task()).unwrap(), [first, second]);
}

#[test]
fn the_index_is_made_anew_from_the_packs() {
    let place = Place::new();
    let mut taken = Vec::new();
    for number in 0..40 {
        fs::write(place.tree().join("file"), format!("text {number}")).unwrap();
        taken.push((place.take(), describe(&place.tree())));
    }
    let index = place.path("home/checkpoints/index");
    let length = fs::read(&index).expect("it is kept once there are many packs").len();
    for damage in [0, length / 2, length - 1] {
        flip(&index, damage);
        assert_eq!(place.store.verify(None).unwrap().whole.len(), 40);
    }
    fs::remove_file(&index).unwrap();
    for (manifest, before) in &taken {
        assert_eq!(&describe(&place.restore(manifest)), before);
    }
}

#[test]
fn what_a_kill_left_is_no_checkpoint_and_no_harm() {
    let place = Place::new();
    let [first, second] = two(&place);
    let store = place.path("home/checkpoints");
    for left in ["packs/.new-abc", "manifests/a-task/.new-abc", "caches/.new-abc", ".new-abc"] {
        fs::write(store.join(left), "half").unwrap();
    }
    assert_eq!(place.store.list(&Place::task()).unwrap(), [first, second]);
    let verified = place.store.verify(None).unwrap();
    assert_eq!((verified.whole.len(), verified.findings.len()), (2, 0));
    place.take();
}

/// Damages what is stored of a content that does not compress, and says of how many copies.
fn damage(place: &Place, content: &[u8]) -> usize {
    let mut damaged = 0;
    for pack in packs(place) {
        let bytes = fs::read(&pack).unwrap();
        if let Some(at) = bytes.windows(content.len()).position(|window| window == content) {
            flip(&pack, at + content.len() / 2);
            damaged += 1;
        }
    }
    damaged
}

fn noise(seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) | 1 << 32;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()[7]
    });
    bytes.take(3_000).collect()
}

fn whole(place: &Place) -> usize {
    place.store.verify(None).unwrap().whole.len()
}

// R23, R96: what is still there is kept again, and what else needs it is whole again, too.
#[test]
fn what_is_damaged_and_still_there_is_kept_again() {
    let place = Place::new();
    fs::write(place.tree().join("file"), noise(1)).unwrap();
    fs::write(place.tree().join("other"), noise(2)).unwrap();
    let first = place.take();
    let tree = describe(&place.tree());
    assert_eq!(damage(&place, &noise(1)), 1);
    // Who did not read it does not know.
    place.take();
    assert_eq!(whole(&place), 0);
    place.take();
    assert_eq!(whole(&place), 3);
    assert_eq!(describe(&place.restore(&first)), tree);
    // Damage to the copy that was there first, and to the new one, is found alike.
    assert_eq!(damage(&place, &noise(1)), 1);
    assert_eq!(whole(&place), 0);
    place.take();
    assert_eq!(whole(&place), 4);
}

// A pack is named after what is in it, so that it may be the same one that is written again.
#[test]
fn a_pack_that_is_written_again_counts_again() {
    let place = Place::new();
    fs::write(place.tree().join("file"), noise(1)).unwrap();
    place.take();
    // Of the folder alone, which has another time now.
    fs::write(place.tree().join("new"), "").unwrap();
    place.take();
    flip(&packs(&place)[1], 20);
    assert_eq!(whole(&place), 1);
    place.take();
    assert_eq!(packs(&place).len(), 2);
    assert!(!place.path("home/checkpoints/damaged").exists());
    let added = place.take().stats().bytes_added;
    assert_eq!((whole(&place), added), (4, 0));
}

// What was damaged for a while, as by a disk that was not to be read, is good again.
#[test]
fn damage_that_is_over_is_forgotten() {
    let place = Place::new();
    fs::write(place.tree().join("file"), noise(1)).unwrap();
    let manifest = place.take();
    let pack = packs(&place).remove(0);
    flip(&pack, 2_000);
    assert_eq!(whole(&place), 0);
    flip(&pack, 2_000);
    place.restore(&manifest);
    assert_eq!(whole(&place), 1);
    assert_eq!(place.take().stats().bytes_added, 0);
}

// R24: nothing goes that could not be brought back.
#[test]
fn what_cannot_be_read_back_is_not_replaced() {
    let place = Place::new();
    let file = |name: &str| place.tree().join(name);
    fs::write(file("file"), noise(1)).unwrap();
    let wanted = place.take();
    for (round, name) in ["file", "folder/file"].into_iter().enumerate() {
        fs::create_dir_all(file("folder")).unwrap();
        fs::write(file(name), noise(2)).unwrap();
        place.take();
        assert!(damage(&place, &noise(2)) > 0);
        let before = describe(&place.tree());
        let replace = |now: &armor_checkpoint_store::Manifest, work: &str| {
            let roots = [armor_checkpoint_store::Root { name: "workspace", path: &place.tree() }];
            place.store.replace(now, &wanted, &roots, &place.path(work))
        };
        let error = replace(&place.take(), &format!("work-{round}")).unwrap_err();
        assert!(matches!(error, StoreError::NotKept { .. }), "{error}");
        assert_eq!(describe(&place.tree()), before);
        let now = place.take();
        replace(&now, &format!("again-{round}")).unwrap();
        assert_eq!(fs::read_dir(place.tree()).unwrap().count(), 1);
        assert_eq!(describe(&place.restore(&now)), before);
    }
}

#[test]
fn all_that_is_damaged_is_found_at_once() {
    let place = Place::new();
    fs::create_dir(place.tree().join("folder")).unwrap();
    for number in 0..20 {
        let folder = if number % 2 == 0 { "" } else { "folder/" };
        fs::write(place.tree().join(format!("{folder}{number}")), noise(number)).unwrap();
    }
    place.take();
    for number in 0..20 {
        assert_eq!(damage(&place, &noise(number)), 1);
    }
    assert_eq!(whole(&place), 0);
    place.take();
    assert_eq!(whole(&place), 2);
}

// R23: giving room back makes nothing worse, also where only the index knows what is in a pack.
#[test]
fn what_is_in_a_pack_whose_own_list_is_damaged_stays_and_is_kept_again() {
    let place = Place::new();
    for number in 0..40 {
        fs::write(place.tree().join(format!("{number}")), noise(number)).unwrap();
        place.take();
    }
    assert!(place.path("home/checkpoints/index").exists());
    let pack = packs(&place).remove(3);
    let length = fs::read(&pack).unwrap().len();
    flip(&pack, length - 20);
    let verified = place.store.verify(None).unwrap();
    assert_eq!(verified.whole.len(), 40);
    let [Finding::File(StoreError::Damaged { path, .. })] = &verified.findings[..] else {
        panic!("{:?}", verified.findings)
    };
    assert_eq!(path, &pack);
    // Room is given back beside it.
    let first = place.store.list(&Place::task()).unwrap().remove(0);
    place.store.forget_one(&Place::task(), &first.id).unwrap();
    let collected = place.store.collect(std::time::Duration::from_secs(10)).unwrap().unwrap();
    assert!(collected.packs_removed > 30, "{collected:?}");
    assert_eq!(whole(&place), 39);
    // It is not relied upon any more: who has the content keeps it again, and all is whole without it.
    place.take();
    assert_eq!(whole(&place), 40);
    let gone = place.path("gone");
    fs::rename(&pack, &gone).unwrap();
    let lost = 40 - whole(&place);
    assert!(lost <= 1, "{lost} lack the folder that only it has");
    fs::rename(&gone, &pack).unwrap();
    assert_eq!(whole(&place), 40);
}
