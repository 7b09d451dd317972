//! What no checkpoint needs goes, what one needs stays: beside writers, after kills, and with damage.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use armor_checkpoint_store::{Manifest, Store, StoreError};

use crate::support::{Place, describe};

const WAIT: Duration = Duration::from_mins(1);

fn packs(place: &Place) -> BTreeMap<PathBuf, u64> {
    let entries = fs::read_dir(place.path("home/checkpoints/packs")).unwrap();
    let entries = entries.map(|entry| entry.unwrap());
    entries.map(|entry| (entry.path(), entry.metadata().unwrap().len())).collect()
}

/// Bytes that do not compress and that no other seed has.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()[7]
    });
    bytes.take(length).collect()
}

fn forget(place: &Place, manifest: &Manifest) {
    place.store.forget_one(&Place::task(), &manifest.id).unwrap();
}

fn assert_whole(place: &Place, count: usize) {
    let verified = place.store.verify(None).unwrap();
    assert_eq!((verified.whole.len(), verified.findings.len()), (count, 0));
}

// R23
#[test]
fn what_no_checkpoint_needs_goes_and_the_rest_stays() {
    let place = Place::new();
    let file = |name: &str| place.tree().join(name);
    fs::write(file("stays"), noise(1, 300_000)).unwrap();
    fs::write(file("goes"), noise(2, 900_000)).unwrap();
    let first = place.take();
    fs::remove_file(file("goes")).unwrap();
    fs::write(file("small"), "text").unwrap();
    let second = place.take();
    let tree = describe(&place.tree());

    assert!(!place.store.is_collection_due());
    let nothing = place.store.collect(WAIT).unwrap().unwrap();
    assert_eq!((nothing.packs_removed, nothing.bytes_freed), (0, 0));

    let before: u64 = packs(&place).values().sum();
    forget(&place, &first);
    assert!(place.store.is_collection_due());
    let collected = place.store.collect(WAIT).unwrap().unwrap();
    assert!(!place.store.is_collection_due());
    let after: u64 = packs(&place).values().sum();
    assert!(before - after > 890_000, "{before} {after}");
    assert!(collected.bytes_freed.abs_diff(before - after) < 10_000, "{collected:?}");
    assert!((300_000..310_000).contains(&collected.bytes), "{collected:?}");
    assert_whole(&place, 1);
    assert_eq!(describe(&place.restore(&second)), tree);

    // What went is written again when it comes again.
    fs::write(file("goes"), noise(2, 900_000)).unwrap();
    let third = place.take();
    assert!(third.stats().bytes_added > 890_000);
    assert_whole(&place, 2);

    forget(&place, &second);
    forget(&place, &third);
    place.store.collect(WAIT).unwrap().unwrap();
    assert_eq!(packs(&place).len(), 0);
}

#[test]
fn many_short_packs_become_few() {
    let place = Place::new();
    let mut taken = Vec::new();
    for number in 0..40 {
        fs::write(place.tree().join("file"), format!("text {number}")).unwrap();
        taken.push((place.take(), describe(&place.tree())));
    }
    assert_eq!(packs(&place).len(), 40);
    place.store.collect(WAIT).unwrap().unwrap();
    assert_eq!(packs(&place).len(), 1);
    assert_whole(&place, 40);
    for (manifest, tree) in &taken {
        assert_eq!(&describe(&place.restore(manifest)), tree);
    }
    // There is nothing left to do.
    assert_eq!(place.store.collect(WAIT).unwrap().unwrap().packs_removed, 0);
}

// R23: safe while checkpoints are written.
#[test]
fn checkpoints_that_are_taken_meanwhile_are_whole() {
    let place = Place::new();
    let (is_over, collected, kept) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let taking = |writer: u64| {
        // Until room was given back beside it, more than once.
        for round in 0.. {
            if round >= 25 && collected.load(Ordering::Relaxed) > 1 {
                break;
            }
            assert!(round < 5_000, "room is never given back");
            // What the others have just forgotten is used again.
            let content = noise(round % 3, 200_000);
            fs::write(place.tree().join(format!("file-{writer}")), content).unwrap();
            let manifest = place.take();
            if round % 4 == 0 && round < 25 {
                kept.fetch_add(1, Ordering::Relaxed);
            } else {
                forget(&place, &manifest);
            }
            // What others forget meanwhile is no damage.
            if round % 8 == 0 {
                let findings = place.store.verify(None).unwrap().findings;
                assert!(findings.is_empty(), "{findings:?}");
            }
        }
    };
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if place.store.collect(WAIT).unwrap().is_some() {
                    collected.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let writers: Vec<_> = (0..3).map(|writer| scope.spawn(move || taking(writer))).collect();
        let taken: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        // Also when one of them failed.
        is_over.store(true, Ordering::Relaxed);
        collecting.join().unwrap();
        for taken in taken {
            taken.unwrap();
        }
    });
    assert_whole(&place, kept.into_inner());
}

#[test]
fn only_one_collects_at_a_time_and_nobody_is_waited_for_without_end() {
    let place = Place::new();
    fs::write(place.tree().join("file"), noise(1, 100_000)).unwrap();
    let manifest = place.take();
    forget(&place, &manifest);
    let lock = |name: &str| fs::File::create(place.path("home/checkpoints").join(name)).unwrap();

    let collecting = lock("collecting");
    rustix::fs::flock(&collecting, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(place.store.collect(WAIT).unwrap(), None);
    assert!(place.store.is_collection_due(), "the next one does it");
    drop(collecting);

    let reading = lock("lock");
    rustix::fs::flock(&reading, rustix::fs::FlockOperation::LockShared).unwrap();
    assert_eq!(place.store.collect(Duration::ZERO).unwrap(), None);
    assert!(place.store.is_collection_due());
    assert_eq!(packs(&place).len(), 1);
    drop(reading);

    assert_eq!(place.store.collect(WAIT).unwrap().unwrap().packs_removed, 1);
}

// R96: as long as it is not known what a damaged checkpoint needs, nothing goes.
#[test]
fn nothing_goes_while_a_checkpoint_is_damaged() {
    let place = Place::new();
    fs::write(place.tree().join("file"), noise(1, 100_000)).unwrap();
    let first = place.take();
    fs::write(place.tree().join("file"), noise(2, 100_000)).unwrap();
    let second = place.take();
    forget(&place, &first);
    let manifest = place.path("home/checkpoints/manifests/a-task/number-1.json");
    let whole = fs::read(&manifest).unwrap();
    fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    let before = packs(&place);
    let error = place.store.collect(WAIT).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(packs(&place), before);
    assert!(place.store.is_collection_due());

    fs::write(&manifest, &whole).unwrap();
    let pack = before.keys().max_by_key(|pack| fs::metadata(pack).unwrap().modified().unwrap());
    let hidden = place.path("hidden");
    fs::rename(pack.unwrap(), &hidden).unwrap();
    let error = place.store.collect(WAIT).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { .. }), "{error}");
    fs::rename(&hidden, pack.unwrap()).unwrap();

    place.store.collect(WAIT).unwrap().unwrap();
    assert_whole(&place, 1);
    place.restore(&second);
}

// R97: an agent may write a file that holds just what the store keeps of a folder.
#[test]
fn a_file_that_looks_like_a_folder_hides_nothing_of_it() {
    let place = Place::new();
    fs::create_dir(place.tree().join("folder")).unwrap();
    fs::write(place.tree().join("folder/inside"), noise(1, 100_000)).unwrap();
    fs::write(place.tree().join("goes"), noise(2, 900_000)).unwrap();
    let first = place.take();
    // The chunk of a folder that is a tree's root is known by the manifest.
    let only_folder = place.path("only");
    fs::rename(place.tree().join("folder"), &only_folder).unwrap();
    let draft = armor_checkpoint_store::Draft {
        id: "folder".parse().unwrap(),
        task: "another".parse().unwrap(),
        name: None,
        cause: armor_core::checkpoint::CheckpointCause::Asked,
        risk: None,
        at: armor_core::time::Timestamp::from_micros(0),
        parent: None,
        state: serde_json::Value::Null,
    };
    let roots = [armor_checkpoint_store::Root { name: "workspace", path: &only_folder }];
    let rules = armor_checkpoint_store::Rules::none();
    let folder = place.store.take(draft, &roots, &rules).unwrap().roots[0].tree;
    fs::rename(&only_folder, place.tree().join("folder")).unwrap();
    let encoded = chunk(&place, &folder);
    fs::write(place.tree().join("zz-a-file"), encoded).unwrap();
    fs::remove_file(place.tree().join("goes")).unwrap();
    let second = place.take();
    let tree = describe(&place.tree());
    forget(&place, &first);
    place.store.forget(&"another".parse().unwrap()).unwrap();
    let collected = place.store.collect(WAIT).unwrap().unwrap();
    assert!(collected.packs_removed > 0);
    assert_whole(&place, 1);
    assert_eq!(describe(&place.restore(&second)), tree);
}

/// What a chunk has, by the lists at the ends of the packs (docs/persistence.md).
fn chunk(place: &Place, id: &armor_checkpoint_store::ChunkId) -> Vec<u8> {
    let wanted = id.to_string();
    for pack in packs(place).into_keys() {
        let bytes = fs::read(pack).unwrap();
        let (rest, count) = bytes.split_last_chunk::<8>().unwrap();
        let count = usize::try_from(u64::from_le_bytes(*count)).unwrap();
        let list = &rest[rest.len() - 32 - count * 48..rest.len() - 32];
        for entry in list.chunks_exact(48) {
            let name: [u8; 32] = entry[..32].try_into().unwrap();
            if blake3::Hash::from_bytes(name).to_hex().as_str() != wanted {
                continue;
            }
            let number =
                |from: usize| u32::from_le_bytes(entry[from..from + 4].try_into().unwrap());
            let (at, stored) = (number(32) as usize, number(40) as usize);
            let (stored, raw) = (&bytes[at..at + stored], number(44) as usize);
            return if stored.len() == raw {
                stored.to_vec()
            } else {
                zstd::bulk::decompress(stored, raw).unwrap()
            };
        }
    }
    panic!("{wanted} is in no pack");
}

// Which of two copies is found first is chance: the last good one never goes.
#[test]
fn the_last_good_copy_of_a_chunk_stays() {
    for damaged in 0..2 {
        let place = Place::new();
        fs::write(place.tree().join("file"), noise(1, 100_000)).unwrap();
        let first = place.take();
        let pack = packs(&place).into_keys().next().unwrap();
        // As two that take the same at one time.
        let hidden = place.path("hidden");
        fs::rename(&pack, &hidden).unwrap();
        fs::write(place.tree().join("more"), noise(2, 20_000)).unwrap();
        let second = place.take();
        let tree = describe(&place.tree());
        fs::rename(&hidden, &pack).unwrap();
        forget(&place, &first);
        let copies = |place: &Place| -> Vec<PathBuf> {
            let has = |pack: &PathBuf| find(&fs::read(pack).unwrap(), &noise(1, 100_000)).is_some();
            packs(place).into_keys().filter(has).collect()
        };
        let both = copies(&place);
        assert_eq!(both.len(), 2);
        let mut bytes = fs::read(&both[damaged]).unwrap();
        let at = find(&bytes, &noise(1, 100_000)).unwrap();
        bytes[at + 50_000] ^= 1;
        fs::write(&both[damaged], bytes).unwrap();
        place.store.collect(WAIT).unwrap().unwrap();
        assert_eq!(copies(&place).len(), 1, "{damaged}");
        assert_whole(&place, 1);
        assert_eq!(describe(&place.restore(&second)), tree);
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

const HOME: &str = "COLLECT_TEST_HOME";

/// Not a test of its own: what the next one kills.
#[test]
#[allow(clippy::disallowed_methods, reason = "how a test tells its own child where to work")]
fn the_process_that_is_killed() {
    let Ok(home) = std::env::var(HOME) else { return };
    Store::open(&PathBuf::from(home)).unwrap().collect(WAIT).unwrap();
}

// R23, R96: SIGKILL at any moment harms no checkpoint, and the next one ends what it began.
#[test]
fn a_kill_at_any_moment_harms_no_checkpoint() {
    let place = Place::new();
    let run = |kill_after: Option<Duration>| {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "collect::the_process_that_is_killed"])
            .env(HOME, place.path("home"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        if let Some(after) = kill_after {
            // The moment is what is tried, not something that is waited for.
            std::thread::sleep(after);
            child.kill().unwrap();
            child.wait().unwrap();
        } else {
            assert!(child.wait().unwrap().success());
        }
    };
    let mut kept = Vec::new();
    let mut whole = Duration::ZERO;
    for round in 0..40_u32 {
        // Some of it goes, some stays, in packs of both kinds.
        for file in 0..8 {
            let content = noise(u64::from(round * 8 + file), 60_000);
            fs::write(place.tree().join(file.to_string()), content).unwrap();
        }
        let goes = place.take();
        for file in 0..6 {
            fs::remove_file(place.tree().join(file.to_string())).unwrap();
        }
        kept.push((place.take(), describe(&place.tree())));
        forget(&place, &goes);
        if round == 0 {
            let began = std::time::Instant::now();
            run(None);
            whole = began.elapsed();
        } else {
            run(Some(whole * (round % 20) / 19));
        }
        assert_whole(&place, kept.len());
        // What is left to do is known, whenever it died.
        if !place.store.is_collection_due() {
            assert_eq!(place.store.collect(WAIT).unwrap().unwrap().packs_removed, 0);
        }
    }
    place.store.collect(WAIT).unwrap().unwrap();
    assert_whole(&place, kept.len());
    for (manifest, tree) in &kept {
        assert_eq!(&describe(&place.restore(manifest)), tree);
    }
    let left = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left(&place.path("home/checkpoints/packs"))
        .chain(left(&place.path("home/checkpoints")))
        .filter(|name| name.as_encoded_bytes().starts_with(b"."))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
