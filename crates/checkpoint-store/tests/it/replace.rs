//! A tree becomes another one in its place, as a whole or not at all.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use armor_checkpoint_store::{ImportLimits, Manifest, Root, Store, StoreError};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::plot::{act_all, deed};
use crate::support::{Place, describe};

/// The files of a tree by their inodes, with the time of their last change.
fn inodes(root: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::symlink_metadata(&path).unwrap();
            if stat.is_dir() {
                waiting.push(path);
            } else {
                found.insert(path, (stat.ino(), stat.ctime(), stat.ctime_nsec()));
            }
        }
    }
    found
}

pub(crate) fn replace(place: &Place, now: &Manifest, wanted: &Manifest) -> u64 {
    let roots = [Root { name: "workspace", path: &place.tree() }];
    let work = place.path("work");
    let changed = place.store.replace(now, wanted, &roots, &work).unwrap().changed;
    // Whoever dies before the work is taken away has all steps done again.
    assert!(Store::finish(&work).unwrap());
    fs::remove_dir_all(work).unwrap();
    changed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    // R24: whatever the trees are, one becomes the other, bit for bit, and back.
    #[test]
    fn any_tree_becomes_any_other_and_back(
        first in vec(deed(), 0..40), later in vec(deed(), 0..30),
    ) {
        let place = Place::new();
        act_all(&place.tree(), &first);
        let (one, before) = (place.take(), describe(&place.tree()));
        act_all(&place.tree(), &later);
        let (two, after) = (place.take(), describe(&place.tree()));
        let root = fs::metadata(place.tree()).unwrap().ino();

        let changed = replace(&place, &two, &one);
        prop_assert_eq!(&describe(&place.tree()), &before);
        prop_assert_eq!(changed == 0, before == after);
        prop_assert_eq!(fs::metadata(place.tree()).unwrap().ino(), root);
        replace(&place, &one, &two);
        prop_assert_eq!(&describe(&place.tree()), &after);
    }
}

/// A tree without the names that a file has besides.
fn alone(described: &BTreeMap<Vec<u8>, String>) -> BTreeMap<Vec<u8>, String> {
    let alone = |line: &String| line.split(" one file: ").next().unwrap().to_owned();
    described.iter().map(|(path, line)| (path.clone(), alone(line))).collect()
}

fn is_in(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    // R24: what is at the path is as in the checkpoint, all else is as it was, to the last bit.
    #[test]
    fn one_path_becomes_what_it_was_and_nothing_else_does(
        first in vec(deed(), 0..40), later in vec(deed(), 0..30), chosen in any::<prop::sample::Index>(),
    ) {
        let place = Place::new();
        act_all(&place.tree(), &first);
        let (one, before) = (place.take(), describe(&place.tree()));
        act_all(&place.tree(), &later);
        let (two, after) = (place.take(), describe(&place.tree()));
        let paths: Vec<_> = before.keys().filter(|path| !path.is_empty()).collect();
        prop_assume!(!paths.is_empty());
        let only = chosen.get(&paths).as_slice();
        let of_tree = Root { name: "workspace", path: &place.tree() };
        let (path, work) = (Path::new(OsStr::from_bytes(only)), place.path("work"));
        let replaced = place.store.replace_path(&two, &one, of_tree, path, &work);
        let there = describe(&place.tree());
        match replaced {
            Err(StoreError::NoFolder { .. }) => prop_assert_eq!(&there, &after),
            Err(error) => prop_assert!(false, "{}", error),
            Ok(changed) => {
                let mut expected = after.clone();
                expected.retain(|path, _| !is_in(path, only));
                for (path, line) in &before {
                    // Folders on the way that are gone come with it.
                    let is_on_the_way = is_in(only, path) && !after.contains_key(path);
                    if is_in(path, only) || is_on_the_way {
                        expected.insert(path.clone(), line.clone());
                    }
                }
                prop_assert_eq!(&alone(&there), &alone(&expected));
                if before.iter().filter(|(path, _)| is_in(path, only)).eq(
                    after.iter().filter(|(path, _)| is_in(path, only)),
                ) {
                    prop_assert_eq!(changed.changed, 0);
                    prop_assert_eq!(&there, &after);
                }
                prop_assert!(Store::finish(&work).unwrap());
                prop_assert_eq!(&describe(&place.tree()), &there);
            }
        }
    }
}

#[test]
fn a_file_keeps_the_names_that_it_has_elsewhere_when_it_is_as_it_was() {
    let place = Place::new();
    for name in ["a", "b"] {
        fs::create_dir(place.tree().join(name)).unwrap();
    }
    fs::write(place.tree().join("a/file"), "text").unwrap();
    fs::hard_link(place.tree().join("a/file"), place.tree().join("b/linked")).unwrap();
    let wanted = place.take();
    fs::write(place.tree().join("a/other"), "text").unwrap();
    let (now, before) = (place.take(), inodes(&place.tree()));
    let of_tree = Root { name: "workspace", path: &place.tree() };
    let work = place.path("work");
    place.store.replace_path(&now, &wanted, of_tree, Path::new("a"), &work).unwrap();
    let after = inodes(&place.tree());
    assert_eq!(after.len(), 2);
    for name in ["a/file", "b/linked"] {
        assert_eq!(after[&place.tree().join(name)], before[&place.tree().join(name)]);
    }
}

// Also by whoever is not root, and again and again.
#[test]
fn a_file_that_nobody_may_read_comes_all_the_same() {
    let place = Place::new();
    let file = place.tree().join("file");
    fs::write(&file, "text").unwrap();
    let archive = place.path("archive.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("--mode=0").arg("-czf").arg(&archive).arg("-C").arg(place.tree()).arg("file");
    assert!(tar.status().unwrap().success());
    let archive = fs::read(archive).unwrap();
    let limits = ImportLimits::default();
    let wanted =
        place.store.import(crate::archive::draft(), None, archive.as_slice(), &limits).unwrap();
    for text in ["text", "other"] {
        let _none = fs::remove_file(&file);
        fs::write(&file, text).unwrap();
        replace(&place, &place.take(), &wanted);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0);
    }
}

#[test]
fn what_is_the_same_is_not_touched() {
    let place = Place::new();
    for folder in ["a", "b"] {
        fs::create_dir(place.tree().join(folder)).unwrap();
        for number in 0..20 {
            fs::write(place.tree().join(folder).join(number.to_string()), folder).unwrap();
        }
    }
    let one = place.take();
    fs::write(place.tree().join("a/7"), "changed").unwrap();
    fs::write(place.tree().join("a/new"), "new").unwrap();
    fs::remove_dir_all(place.tree().join("b")).unwrap();
    let two = place.take();
    let before = inodes(&place.tree());
    replace(&place, &two, &one);
    let after = inodes(&place.tree());
    for number in (0..20).filter(|number| *number != 7) {
        let path = place.tree().join("a").join(number.to_string());
        assert_eq!(after[&path], before[&path]);
    }
    assert!(!after.contains_key(&place.tree().join("a/new")));
    assert_eq!(after.len(), 40);
}

#[test]
fn what_no_checkpoint_has_is_not_in_the_way() {
    let place = Place::new();
    fs::create_dir(place.tree().join("folder")).unwrap();
    fs::write(place.tree().join("folder/file"), "text").unwrap();
    let (one, before) = (place.take(), describe(&place.tree()));
    fs::remove_dir_all(place.tree().join("folder")).unwrap();
    let _socket = UnixListener::bind(place.tree().join("folder")).unwrap();
    let two = place.take();
    replace(&place, &two, &one);
    assert_eq!(describe(&place.tree()), before);
}

// What root may do hides what others may not.
#[test]
fn trees_become_others_without_root_too() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Others may not get to where it was built.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let tests = Command::new(program)
        .current_dir("/")
        .args(["replace::", "round_trip::", "--skip", "without_root"])
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stdout));
}

#[test]
fn a_checkpoint_of_which_something_is_missing_changes_nothing() {
    let place = Place::new();
    fs::write(place.tree().join("file"), "old").unwrap();
    let one = place.take();
    let packs = place.path("home/checkpoints/packs");
    let first: Vec<_> = fs::read_dir(&packs).unwrap().map(|entry| entry.unwrap().path()).collect();
    fs::write(place.tree().join("file"), "new").unwrap();
    let two = place.take();
    for pack in first {
        fs::remove_file(pack).unwrap();
    }
    let roots = [Root { name: "workspace", path: &place.tree() }];
    let before = describe(&place.tree());
    place.store.replace(&two, &one, &roots, &place.path("work")).unwrap_err();
    assert_eq!(describe(&place.tree()), before);
    assert!(!Store::finish(&place.path("work")).unwrap());
}

const PLACE: &str = "CHECKPOINT_TEST_PLACE";

/// Not a test of its own: what the next one kills.
#[test]
#[allow(clippy::disallowed_methods, reason = "how a test tells its own child where to work")]
fn the_process_that_is_killed() {
    let Ok(folder) = std::env::var(PLACE) else { return };
    let folder = PathBuf::from(folder);
    let store = Store::open(&folder.join("home")).unwrap();
    let get = |name: &str| store.get(&Place::task(), &name.parse().unwrap()).unwrap();
    let roots = [Root { name: "workspace", path: &folder.join("tree") }];
    store.replace(&get("number-1"), &get("number-0"), &roots, &folder.join("work")).unwrap();
}

// R24, R96: SIGKILL at any moment leaves the old tree or, behind the next look, the new one.
#[test]
fn a_kill_at_any_moment_leaves_one_tree_or_the_other() {
    let place = Place::new();
    let fill = |text: &str| {
        for folder in 0..20 {
            let folder = place.tree().join(format!("{text}{}", folder % 15));
            fs::create_dir_all(&folder).unwrap();
            for file in 0..20 {
                fs::write(folder.join(file.to_string()), format!("{text} {file}")).unwrap();
            }
        }
    };
    fill("a");
    let (one, old) = (place.take(), describe(&place.tree()));
    fs::remove_dir_all(place.tree().join("a3")).unwrap();
    fs::write(place.tree().join("a3"), "a file now").unwrap();
    fs::write(place.tree().join("a4/4"), "changed").unwrap();
    fill("b");
    let (two, new) = (place.take(), describe(&place.tree()));

    let (mut back, mut on) = (0, 0);
    let mut whole = Duration::ZERO;
    for round in 0..40_u32 {
        let began = Instant::now();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "replace::the_process_that_is_killed"])
            .env(PLACE, place.path(""))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        if round == 0 {
            assert!(child.wait().unwrap().success());
            whole = began.elapsed();
        } else {
            // The moment is what is tried, not something that is waited for.
            std::thread::sleep(whole * (round % 20) / 19);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let had_journal = place.path("work/journal").exists();
        let finished = Store::finish(&place.path("work")).unwrap();
        assert_eq!(finished, had_journal);
        let there = describe(&place.tree());
        if there == old {
            back += 1;
            fs::remove_dir_all(place.path("work")).unwrap();
            replace(&place, &one, &two);
        } else {
            on += 1;
            let _none = fs::remove_dir_all(place.path("work"));
        }
        assert_eq!(describe(&place.tree()), new, "round {round}");
    }
    assert!(back > 1 && on > 1, "{back} times the old tree, {on} times the new one");
    assert_eq!(place.store.verify(None).unwrap().findings.len(), 0);
}
