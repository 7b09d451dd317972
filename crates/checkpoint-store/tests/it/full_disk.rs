//! A disk that runs full: what was begun is not there, what was there is whole, and it goes on when there
//! is room again (R96). The disk is a small one in a mount namespace of the test's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use armor_checkpoint_store::{Draft, ImportLimits, Manifest, Root, Rules, Store, StoreError};
use armor_core::checkpoint::CheckpointCause;
use armor_core::time::Timestamp;

use crate::support::{Place, describe};

const DISK: &str = "FULL_DISK_TEST_PLACE";
const MIB: usize = 1 << 20;

#[test]
fn a_full_disk_harms_no_checkpoint_and_no_tree() {
    let place = tempfile::tempdir().unwrap();
    let inside = Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full_disk::with_a_small_disk", "--nocapture"])
        .env(DISK, place.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stdout).into_owned();
    let said = said + &String::from_utf8_lossy(&inside.stderr);
    assert!(inside.status.success() && said.contains("all of it"), "{said}");
}

/// Not a test of its own: what the one above runs where it may mount something.
#[test]
#[allow(clippy::disallowed_methods, reason = "how a test tells its own child where to work")]
fn with_a_small_disk() {
    let Ok(place) = std::env::var(DISK) else { return };
    let place = PathBuf::from(place);
    let (disk, large) = (place.join("disk"), place.join("large"));
    for folder in [&disk, &large] {
        fs::create_dir(folder).unwrap();
    }
    let mount = ["-t", "tmpfs", "-o", "size=8m", "none"];
    assert!(Command::new("mount").args(mount).arg(&disk).status().unwrap().success());

    taking_and_importing(&disk, &large);
    restoring(&disk, &large);
    giving_back(&disk, &large);
    println!("all of it");
}

fn draft(id: &str) -> Draft {
    Draft {
        id: id.parse().unwrap(),
        task: Place::task(),
        name: None,
        cause: CheckpointCause::Asked,
        risk: None,
        at: Timestamp::from_micros(0),
        parent: None,
        state: serde_json::Value::Null,
    }
}

fn take(store: &Store, id: &str, tree: &Path) -> Result<Manifest, StoreError> {
    store.take(draft(id), &[Root { name: "workspace", path: tree }], &Rules::none())
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()[7]
    });
    bytes.take(length).collect()
}

fn assert_full(error: &StoreError) {
    let StoreError::Io { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull, "{error}");
}

fn assert_whole(store: &Store, count: usize) {
    let verified = store.verify(None).unwrap();
    assert_eq!((verified.whole.len(), verified.findings.len()), (count, 0), "{verified:?}");
}

/// Fills what is left of the disk.
fn fill(disk: &Path) -> PathBuf {
    let filler = disk.join("filler");
    let mut length = 8 * MIB;
    while length > 0 {
        let mut content = fs::read(&filler).unwrap_or_default();
        content.resize(content.len() + length, 1);
        // What does not fit is cut off.
        let _full = fs::write(&filler, &content);
        length /= 2;
    }
    filler
}

fn taking_and_importing(disk: &Path, large: &Path) {
    let (home, tree) = (disk.join("home"), large.join("tree"));
    fs::create_dir(&tree).unwrap();
    let store = Store::open(&home).unwrap();
    fs::write(tree.join("small"), noise(1, 100_000)).unwrap();
    let first = take(&store, "first", &tree).unwrap();
    let mut archive = Vec::new();
    fs::write(tree.join("large"), noise(2, 12 * MIB)).unwrap();
    assert_full(&take(&store, "second", &tree).unwrap_err());
    assert!(store.is_collection_due());
    assert_whole(&store, 1);

    let elsewhere = Store::open(&large.join("home")).unwrap();
    let there = take(&elsewhere, "there", &tree).unwrap();
    elsewhere.export(&there, &mut archive).unwrap();
    let limits = ImportLimits::default();
    let imported = store.import(draft("imported"), None, archive.as_slice(), &limits);
    assert_full(&imported.unwrap_err());
    assert_whole(&store, 1);

    // Nothing of it is left, so that smaller ones fit.
    let used = |folder: &Path| -> u64 {
        let entries = fs::read_dir(folder.join("checkpoints/packs")).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    assert!(used(&home) < 200_000, "{}", used(&home));
    fs::write(tree.join("large"), noise(3, 2 * MIB)).unwrap();
    take(&store, "third", &tree).unwrap();
    assert_whole(&store, 2);
    store.restore(&first, "workspace", &large.join("again")).unwrap();
    fs::remove_dir_all(home).unwrap();
}

fn restoring(disk: &Path, large: &Path) {
    let (tree, work) = (disk.join("tree"), disk.join("work"));
    fs::create_dir(&tree).unwrap();
    let store = Store::open(&large.join("other")).unwrap();
    fs::write(tree.join("stays"), "as it is").unwrap();
    fs::write(tree.join("large"), noise(4, 5 * MIB)).unwrap();
    let wanted = take(&store, "wanted", &tree).unwrap();
    fs::write(tree.join("large"), noise(5, 5 * MIB)).unwrap();
    fs::write(tree.join("stays"), "changed").unwrap();
    let now = take(&store, "now", &tree).unwrap();
    let before = describe(&tree);

    let place = disk.join("place");
    assert_full(&store.restore(&wanted, "workspace", &place).unwrap_err());
    assert!(!place.exists());
    let roots = [Root { name: "workspace", path: &tree }];
    assert_full(&store.replace(&now, &wanted, &roots, &work).unwrap_err());
    assert!(!Store::finish(&work).unwrap());
    assert_eq!(describe(&tree), before);
    let _left = fs::remove_dir_all(&work);
    fs::remove_file(tree.join("large")).unwrap();
    let now = take(&store, "smaller", &tree).unwrap();
    store.replace(&now, &wanted, &roots, &work).unwrap();
    assert_eq!(fs::read_to_string(tree.join("stays")).unwrap(), "as it is");
    for folder in [&tree, &work] {
        fs::remove_dir_all(folder).unwrap();
    }
}

fn giving_back(disk: &Path, large: &Path) {
    let tree = large.join("third");
    fs::create_dir(&tree).unwrap();
    let store = Store::open(&disk.join("home")).unwrap();
    let file = |name: &str| tree.join(name);
    fs::write(file("stays"), noise(6, 2 * MIB)).unwrap();
    fs::write(file("goes"), noise(7, 2 * MIB)).unwrap();
    take(&store, "goes", &tree).unwrap();
    fs::remove_file(file("goes")).unwrap();
    let stays = take(&store, "stays", &tree).unwrap();
    store.forget_one(&Place::task(), &"goes".parse().unwrap()).unwrap();
    let filler = fill(disk);
    let wait = Duration::from_secs(10);
    assert_full(&store.collect(wait).unwrap_err());
    assert!(store.is_collection_due());
    assert_whole(&store, 1);
    fs::remove_file(filler).unwrap();
    let collected = store.collect(wait).unwrap().unwrap();
    assert!(collected.bytes_freed > 1_900_000, "{collected:?}");
    assert_whole(&store, 1);

    // What nobody needs goes first, and makes room for the copies of the rest.
    fs::write(file("kept"), noise(8, MIB)).unwrap();
    fs::write(file("goes"), noise(9, MIB)).unwrap();
    take(&store, "both", &tree).unwrap();
    fs::remove_file(file("goes")).unwrap();
    take(&store, "kept", &tree).unwrap();
    fs::write(file("alone"), noise(10, 2 * MIB)).unwrap();
    take(&store, "alone", &tree).unwrap();
    for id in ["both", "alone"] {
        store.forget_one(&Place::task(), &id.parse().unwrap()).unwrap();
    }
    let filler = fill(disk);
    let collected = store.collect(wait).unwrap().unwrap();
    assert!(collected.bytes_freed > 3_000_000, "{collected:?}");
    assert!(!store.is_collection_due());
    assert_whole(&store, 2);
    fs::remove_file(filler).unwrap();
    store.restore(&stays, "workspace", &large.join("stays")).unwrap();
}
