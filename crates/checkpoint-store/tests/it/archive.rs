//! A checkpoint as an archive, and back: exact, and readable by the `tar` of the system.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use armor_checkpoint_store::{
    ArchiveFault, Draft, ImportLimits, Manifest, Root, Rules, StoreError,
};
use armor_core::checkpoint::CheckpointCause;
use armor_core::sandbox::UserIds;
use armor_core::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::plot::{Deed, act, act_all, deed};
use crate::support::{Place, describe};

pub(crate) fn draft() -> Draft {
    Draft {
        id: "imported".parse().unwrap(),
        task: Place::task(),
        name: None,
        cause: CheckpointCause::Imported,
        risk: None,
        at: Timestamp::from_micros(7),
        parent: None,
        state: serde_json::json!({}),
    }
}

fn import(place: &Place, archive: &[u8]) -> Result<Manifest, StoreError> {
    place.store.import(draft(), None, archive, &ImportLimits::default())
}

fn export(place: &Place, manifest: &Manifest) -> Vec<u8> {
    let mut archive = Vec::new();
    place.store.export(manifest, &mut archive).unwrap();
    archive
}

fn tar(arguments: &[&str], folder: &Path) {
    let output = Command::new("tar").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    // R23: what comes back from an archive is what there was, and so does what `tar` makes of it.
    #[test]
    fn a_tree_comes_back_from_an_archive(deeds in vec(deed(), 0..40)) {
        let (place, other) = (Place::new(), Place::new());
        act_all(&place.tree(), &deeds);
        let before = describe(&place.tree());
        let manifest = place.take();
        let archive = export(&place, &manifest);

        let imported = import(&other, &archive).unwrap();
        prop_assert_eq!(&describe(&other.restore(&imported)), &before);
        let (stats, was) = (imported.stats(), manifest.stats());
        prop_assert_eq!(
            (stats.files, stats.folders, stats.bytes), (was.files, was.folders, was.bytes)
        );
        prop_assert_eq!(other.store.get(&Place::task(), &imported.id).unwrap(), imported.clone());
        let verified = other.store.verify(None).unwrap();
        prop_assert!(verified.findings.is_empty(), "{:?}", verified.findings);

        fs::write(place.path("archive"), archive).unwrap();
        fs::create_dir(place.path("by-tar")).unwrap();
        tar(&["-xpzf", "../archive", "--xattrs", "--xattrs-include=*"], &place.path("by-tar"));
        prop_assert_eq!(&describe(&place.path("by-tar/workspace")), &before);
    }
}

#[test]
fn an_archive_says_what_it_is_of_and_is_always_the_same() {
    let place = Place::new();
    fs::write(place.tree().join("file"), "text").unwrap();
    fs::create_dir(place.path("memory")).unwrap();
    fs::write(place.path("memory/note"), "remember").unwrap();
    let (tree, memory) = (place.tree(), place.path("memory"));
    let roots = [Root { name: "workspace", path: &tree }, Root { name: "memory", path: &memory }];
    let manifest = place.store.take(draft(), &roots, &Rules::none()).unwrap();
    let mut archive = Vec::new();
    let exported = place.store.export(&manifest, &mut archive).unwrap();
    assert_eq!((exported.files, exported.folders, exported.bytes), (2, 0, 12));
    assert_eq!(archive, export(&place, &manifest));

    let mut plain = tar::Archive::new(flate2::read::GzDecoder::new(archive.as_slice()));
    let mut entries = plain.entries().unwrap();
    let mut first = entries.next().unwrap().unwrap();
    assert_eq!(&*first.path_bytes(), b"armor-checkpoint.json");
    let mut about = String::new();
    first.read_to_string(&mut about).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    assert_eq!(about["format"], 1);
    assert_eq!(about["task"], "a-task");
    assert_eq!(about["cause"], "imported");
    assert_eq!(about["roots"][1]["name"], "memory");
    assert_eq!(about["roots"][1]["stats"]["bytes"], 8);
    let paths = entries.map(|entry| entry.unwrap().path_bytes().into_owned());
    let paths: Vec<_> = paths.map(|path| String::from_utf8(path).unwrap()).collect();
    assert_eq!(paths, ["workspace/", "workspace/file", "memory/", "memory/note"]);

    let other = Place::new();
    let imported = import(&other, &archive).unwrap();
    other.store.restore(&imported, "memory", &other.path("memory")).unwrap();
    assert_eq!(describe(&other.path("memory")), describe(&memory));
    assert_eq!(describe(&other.restore(&imported)), describe(&tree));
}

#[test]
fn large_files_and_holes_come_back_and_long_runs_of_zeros_are_not_stored() {
    use std::os::unix::fs::MetadataExt;
    let (place, other) = (Place::new(), Place::new());
    let noise = |at: &str, bytes| Deed::File { at: at.into(), seed: 3, bytes, mode: 0o644 };
    act(&place.tree(), &noise("large", 5 << 20));
    act(&place.tree(), &Deed::Sparse { at: b"sparse".to_vec(), hole: 64 << 20, bytes: 4096 });
    let manifest = place.take();
    let archive = export(&place, &manifest);
    assert!(archive.len() < 8 << 20, "{} bytes", archive.len());
    let imported = import(&other, &archive).unwrap();
    let restored = other.restore(&imported);
    assert_eq!(describe(&restored), describe(&place.tree()));
    let stat = fs::metadata(restored.join("sparse")).unwrap();
    assert!(stat.blocks() * 512 < 8 << 20, "{} blocks", stat.blocks());
    // A file is cut in one way, wherever it comes from.
    let again = import(&place, &archive).unwrap();
    assert!(again.stats().bytes_added < 100 << 10, "{:?}", again.stats());
}

#[test]
fn a_tree_of_two_thousand_levels_comes_back_from_an_archive() {
    use rustix::fs::{Mode, OFlags, mkdirat, open, openat};
    let place = Place::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut level = open(place.tree(), flags, Mode::empty()).unwrap();
    for _ in 0..2040 {
        mkdirat(&level, "d", Mode::RWXU).unwrap();
        level = openat(&level, "d", flags, Mode::empty()).unwrap();
    }
    let manifest = place.take();
    let other = Place::new();
    let imported = import(&other, &export(&place, &manifest)).unwrap();
    assert_eq!(imported.stats().folders, 2040);
    let restored = other.store.restore(&imported, "workspace", &other.path("new")).unwrap();
    assert_eq!(restored.folders, 2040);
    let tree = |manifest: &Manifest| manifest.root("workspace").unwrap().tree;
    assert_eq!(tree(&imported), tree(&manifest));
}

/// What all formats of `tar` can say: whole seconds, no attributes.
fn plain_tree(tree: &Path) {
    let long = [[b'l'; 90].as_slice(), &[b'm'; 60]].join(&b'/');
    for deed in [
        Deed::File { at: b"file".to_vec(), seed: 1, bytes: 3000, mode: 0o4755 },
        Deed::File { at: b"empty".to_vec(), seed: 1, bytes: 0, mode: 0o600 },
        Deed::File { at: long, seed: 2, bytes: 300_000, mode: 0o644 },
        Deed::File { at: b"a/b/\xFFbytes\n".to_vec(), seed: 3, bytes: 512, mode: 0o400 },
        Deed::HardLink { at: b"z".to_vec(), to: b"file".to_vec() },
        Deed::HardLink { at: b"a/name".to_vec(), to: b"file".to_vec() },
        Deed::Link { at: b"link".to_vec(), target: b"/etc/passwd".to_vec() },
        Deed::Fifo { at: b"pipe".to_vec() },
        Deed::Folder { at: b"nothing".to_vec(), mode: 0o2775 },
    ] {
        act(tree, &deed);
    }
    whole_seconds(tree);
}

fn whole_seconds(tree: &Path) {
    let output = Command::new("find")
        .arg(tree)
        .args(["-depth", "-exec", "touch", "-h", "-d", "2020-02-03T04:05:06Z", "{}", "+"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

// R23: an archive need not be one of Armor's.
#[test]
fn what_the_systems_tar_writes_is_taken_in() {
    let place = Place::new();
    plain_tree(&place.tree());
    let before = describe(&place.tree());
    for format in ["ustar", "gnu", "oldgnu", "pax"] {
        let (option, archive) = (format!("--format={format}"), format!("../{format}.tar.gz"));
        tar(&[&option, "-czf", &archive, "."], &place.tree());
        let archive = fs::read(place.path(&format!("{format}.tar.gz"))).unwrap();
        let other = Place::new();
        let imported = import(&other, &archive).unwrap();
        assert_eq!(describe(&other.restore(&imported)), before, "{format}");
    }
}

#[test]
fn attributes_nanoseconds_and_long_names_in_pax_and_sparse_files_are_taken_in() {
    let place = Place::new();
    let long = vec![vec![b'n'; 255]; 3].join(&b'/');
    for deed in [
        Deed::File { at: long.clone(), seed: 1, bytes: 3000, mode: 0o644 },
        Deed::HardLink { at: b"a".to_vec(), to: long.clone() },
        Deed::Link { at: b"b".to_vec(), target: long },
        Deed::Attribute { at: b"a".to_vec(), name: 1, value: b"\n=\0\xFF 7 x".to_vec() },
        Deed::Time { at: b"a".to_vec(), seconds: 5, nanos: 123_456_789 },
    ] {
        act(&place.tree(), &deed);
    }
    for at in ["one", "two", "three"] {
        // Many parts: more than there is room for in one header.
        for part in 0..40_u32 {
            let at = at.as_bytes().to_vec();
            act(&place.tree(), &Deed::Sparse { at, hole: part * 100_000, bytes: 5000 });
        }
    }
    let before = describe(&place.tree());
    for (format, name) in [("--format=gnu", "gnu"), ("--format=pax", "pax")] {
        let archive = format!("../{name}.tar.gz");
        let arguments = [format, "-S", "--xattrs", "-czf", &archive, "."];
        tar(&arguments, &place.tree());
        let archive = fs::read(place.path(&format!("{name}.tar.gz"))).unwrap();
        let other = Place::new();
        let imported = import(&other, &archive).unwrap();
        let restored = describe(&other.restore(&imported));
        if name == "pax" {
            assert_eq!(restored, before);
        } else {
            let paths = |described: &BTreeMap<Vec<u8>, String>| {
                described.keys().cloned().collect::<Vec<_>>()
            };
            assert_eq!(paths(&restored), paths(&before));
            for at in ["one", "two", "three"] {
                assert_eq!(
                    fs::read(place.tree().join(at)).unwrap(),
                    fs::read(other.path("restored-imported").join(at)).unwrap()
                );
            }
        }
    }
}

#[test]
fn what_is_missing_from_a_checkpoint_is_no_archive() {
    let place = Place::new();
    fs::write(place.tree().join("file"), "text").unwrap();
    let manifest = place.take();
    for pack in fs::read_dir(place.path("home/checkpoints/packs")).unwrap() {
        fs::remove_file(pack.unwrap().path()).unwrap();
    }
    let error = place.store.export(&manifest, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
}

/// Fails when so much has been read or written.
struct Failing(usize);

impl Failing {
    fn pass(&mut self, bytes: usize) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::from_raw_os_error(5));
        }
        let passed = bytes.min(self.0);
        self.0 -= passed;
        Ok(passed)
    }
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pass(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// R96: a disk that fails is no fault of the archive.
#[test]
fn a_disk_that_fails_is_told_from_an_archive_that_is_damaged() {
    let place = Place::new();
    act(&place.tree(), &Deed::File { at: b"file".to_vec(), seed: 3, bytes: 300_000, mode: 0o644 });
    let manifest = place.take();
    let archive = export(&place, &manifest);
    for at in [0, 1, 2, 9, 1000, archive.len() - 1] {
        let error = place.store.export(&manifest, Failing(at)).unwrap_err();
        assert!(matches!(error, StoreError::Io { action: "write", .. }), "{error}");
        let fails = archive[..at].chain(FailingRead);
        let error = place.store.import(draft(), None, fails, &ImportLimits::default()).unwrap_err();
        assert!(matches!(error, StoreError::Io { action: "read", .. }), "{at}: {error}");
    }
    assert_eq!(place.store.list(&Place::task()).unwrap(), [manifest]);
}

struct FailingRead;

impl Read for FailingRead {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::from_raw_os_error(5))
    }
}

fn exported_tree(place: &Place) -> (Vec<u8>, BTreeMap<Vec<u8>, String>) {
    plain_tree(&place.tree());
    let manifest = place.take();
    (export(place, &manifest), describe(&place.tree()))
}

// R95: whatever is cut off, it is not taken for the whole.
#[test]
fn an_archive_that_was_cut_off_is_refused() {
    let place = Place::new();
    let (archive, _) = exported_tree(&place);
    let other = Place::new();
    let ends = (0..archive.len()).step_by(997).chain(archive.len() - 40..archive.len());
    for end in ends {
        let error = import(&other, &archive[..end]).unwrap_err();
        let StoreError::BadArchive { reason, .. } = error else { panic!("{end}: {error}") };
        let expected = if end < 2 { ArchiveFault::NotGzip } else { ArchiveFault::Truncated };
        assert_eq!(reason, expected, "cut at {end}");
    }
    assert_eq!(other.store.list(&Place::task()).unwrap(), []);
}

// R95: a bit that flips is found, or it is one that means nothing.
#[test]
fn a_bit_that_flips_in_an_archive_makes_no_other_checkpoint() {
    let place = Place::new();
    let (mut archive, before) = exported_tree(&place);
    let other = Place::new();
    let places =
        (0..60).chain((60..archive.len()).step_by(331)).chain(archive.len() - 30..archive.len());
    for at in places {
        archive[at] ^= 1 << (at % 8);
        match import(&other, &archive) {
            Err(StoreError::BadArchive { .. }) => {
                assert_eq!(other.store.list(&Place::task()).unwrap(), []);
            }
            Err(error) => panic!("{at}: {error}"),
            Ok(imported) => {
                // The gzip header's time, system and flags are under no checksum.
                assert!(at < 10, "{at}");
                let restored = other.restore(&imported);
                assert_eq!(describe(&restored), before);
                fs::remove_dir_all(restored).unwrap();
                other.store.forget(&Place::task()).unwrap();
            }
        }
        archive[at] ^= 1 << (at % 8);
    }
}

// R97: whoever made the archive gains nothing by whose its files are.
#[test]
fn what_is_given_to_an_owner_has_no_other_and_lends_nothing() {
    let place = Place::new();
    let mode = |path: &str, mode: u32| {
        fs::set_permissions(place.tree().join(path), Permissions::from_mode(mode)).unwrap();
    };
    fs::create_dir(place.tree().join("folder")).unwrap();
    fs::write(place.tree().join("folder/program"), "text").unwrap();
    mode("folder/program", 0o6755);
    mode("folder", 0o1755);
    let archive = export(&place, &place.take());
    let (uid, gid) = if is_root() { (10_001, 10_002) } else { me() };
    let owner = Some(UserIds { uid, gid });
    let given = place.store.import(draft(), owner, &*archive, &ImportLimits::default()).unwrap();
    let restored = place.restore(&given);
    for (path, mode) in [("", 0o2755), ("folder", 0o3755), ("folder/program", 0o755)] {
        let stat = fs::metadata(restored.join(path)).unwrap();
        assert_eq!((stat.uid(), stat.gid()), (uid, gid), "{path}");
        assert_eq!(stat.mode() & 0o7777, mode, "{path}");
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn me() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}
