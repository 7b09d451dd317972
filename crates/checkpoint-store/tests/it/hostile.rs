//! Archives that were made to do harm, or by programs with faults, are refused, and say why.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use armor_checkpoint_store::{ArchiveFault as Fault, ImportLimits, Manifest, StoreError};
use armor_core::error::{Code, Diagnostic};
use tar::Header;

use crate::archive::draft;
use crate::raw::{Raw, changed, gzip, header};
use crate::support::Place;

const ROOMY: ImportLimits = ImportLimits { entries: 10_000, bytes: 1 << 40 };

fn import(place: &Place, from: impl Read, limits: &ImportLimits) -> Result<Manifest, StoreError> {
    place.store.import(draft(), None, from, limits)
}

#[track_caller]
fn refused(place: &Place, from: impl Read, limits: &ImportLimits, what: &str) -> (String, Fault) {
    let Err(error) = import(place, from, limits) else { panic!("{what} was taken in") };
    assert_eq!(error.code(), Code::CheckpointBadArchive, "{error}");
    assert!(error.next_step().is_some());
    let StoreError::BadArchive { entry, reason } = error else { panic!("{error}") };
    // Nothing is there but chunks, and of those no half a pack.
    assert_eq!(place.store.list(&Place::task()).unwrap(), []);
    let manifests = fs::read_dir(place.path("home/checkpoints/manifests"));
    assert!(manifests.is_err(), "a folder of manifests was made");
    if let Ok(packs) = fs::read_dir(place.path("home/checkpoints/packs")) {
        assert_eq!(packs.count(), 0);
    }
    (entry, reason)
}

/// What it is, its bytes, and the entry and the reason for which it is refused.
type Case = (&'static str, Raw, &'static str, Fault);

fn refuse_all(cases: Vec<Case>) {
    for (what, raw, entry, fault) in cases {
        let (at, reason) = refused(&Place::new(), gzip(&raw.0).as_slice(), &ROOMY, what);
        assert_eq!((at.as_str(), reason), (entry, fault), "{what}");
    }
}

const ROOTS: &str = r#"[{"name":"workspace"},{"name":"memory"}]"#;

/// An exported checkpoint with two trees.
fn both() -> Raw {
    Raw::ours(ROOTS).folder(b"workspace/").folder(b"memory/")
}

fn long(name: &[u8]) -> Raw {
    raw().entry(b"long", b'L', name).file(b"short").end()
}

fn raw() -> Raw {
    Raw::default()
}

fn sparse(parts: &[(u64, u64)], real: u64, size: u64) -> Raw {
    let sparse = changed(|header| {
        header.as_old_mut().linkflag[0] = b'S';
        header.set_size(size);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(real);
        for (room, (from, length)) in gnu.sparse.iter_mut().zip(parts) {
            room.set_offset(*from);
            room.set_length(*length);
        }
    });
    sparse.bytes(&[1; 2048])
}

// R95
#[test]
fn paths_that_lead_out_of_a_tree_or_nowhere_are_refused() {
    refuse_all(vec![
        ("absolute", raw().file(b"/etc/passwd").end(), "/etc/passwd", Fault::Absolute),
        ("above", raw().file(b"../file").end(), "../file", Fault::Parent),
        ("above within", raw().file(b"a/../../file").end(), "a/../../file", Fault::Parent),
        ("above at the end", raw().folder(b"a/..").end(), "a/..", Fault::Parent),
        ("above behind a dot", raw().file(b"./../file").end(), "./../file", Fault::Parent),
        ("an empty name", raw().file(b"a//b").end(), "a//b", Fault::EmptyName),
        ("no name", raw().file(b"").end(), "", Fault::EmptyName),
        ("a dot", raw().file(b"a/./b").end(), "a/./b", Fault::EmptyName),
        ("two dots in front", raw().file(b"././b").end(), "././b", Fault::EmptyName),
        ("a file that is the root", raw().link(b"./", b"x").end(), "./", Fault::NotInFolder),
        ("a zero byte", long(b"a\0b\0"), "a\0b", Fault::ZeroByte),
        (
            "a zero byte in a record",
            raw().record("path", b"a\0b").file(b"c").end(),
            "a\0b",
            Fault::ZeroByte,
        ),
        ("a record with ..", raw().record("path", b"../b").file(b"c").end(), "../b", Fault::Parent),
        ("an absolute record", raw().record("path", b"/b").file(b"c").end(), "/b", Fault::Absolute),
    ]);
}

// R95
#[test]
fn what_no_sandbox_can_make_is_refused() {
    refuse_all(vec![
        ("a character device", raw().entry(b"tty", b'3', b"").end(), "tty", Fault::Device),
        ("a block device", raw().entry(b"sda", b'4', b"").end(), "sda", Fault::Device),
        ("another volume", raw().entry(b"v", b'M', b"").end(), "v", Fault::UnknownType(b'M')),
        ("a socket of pax", raw().entry(b"v", b's', b"").end(), "v", Fault::UnknownType(b's')),
    ]);
}

// R95
#[test]
fn links_to_what_is_not_there_or_outside_are_refused() {
    refuse_all(vec![
        (
            "a link to an absolute path",
            raw().hard_link(b"a", b"/etc/shadow").end(),
            "a",
            Fault::LinkOutside,
        ),
        ("a link to above", raw().hard_link(b"a", b"../b").end(), "a", Fault::LinkOutside),
        (
            "a link to nothing",
            raw().hard_link(b"a", b"b").file(b"b").end(),
            "a",
            Fault::LinkToNothing,
        ),
        ("a link to itself", raw().hard_link(b"a", b"a").end(), "a", Fault::LinkToNothing),
        ("a link to no name", raw().hard_link(b"a", b"").end(), "a", Fault::LinkToNothing),
        (
            "a link through a link",
            raw().link(b"l", b".").file(b"b").hard_link(b"a", b"l/b").end(),
            "a",
            Fault::LinkToNothing,
        ),
        (
            "a link to a folder",
            raw().folder(b"b").hard_link(b"a", b"b").end(),
            "a",
            Fault::LinkToFolder,
        ),
        ("a link to the root", raw().hard_link(b"a", b"./").end(), "a", Fault::LinkToFolder),
        (
            "a link to another tree",
            both().file(b"memory/a").hard_link(b"workspace/b", b"memory/a").end(),
            "workspace/b",
            Fault::LinkOutside,
        ),
        (
            "a link to no tree",
            both().hard_link(b"workspace/b", b"other/a").end(),
            "workspace/b",
            Fault::LinkOutside,
        ),
        ("an empty link", raw().link(b"a", b"").end(), "a", Fault::LinkTarget),
        (
            "a link of 4096 bytes",
            raw().entry(b"k", b'K', &[b'a'; 4096]).link(b"a", b"").end(),
            "a",
            Fault::LinkTarget,
        ),
    ]);
}

// R95
#[test]
fn what_lies_below_no_folder_or_comes_twice_is_refused() {
    refuse_all(vec![
        (
            "below a link",
            raw().link(b"a", b"/etc").file(b"a/passwd").end(),
            "a/passwd",
            Fault::NotInFolder,
        ),
        (
            "below a link, deep",
            raw().link(b"a", b"/").file(b"a/etc/passwd").end(),
            "a/etc/passwd",
            Fault::NotInFolder,
        ),
        ("below a file", raw().file(b"a").folder(b"a/b").end(), "a/b", Fault::NotInFolder),
        ("two files", raw().file(b"a").file(b"./a").end(), "./a", Fault::Duplicate),
        ("two folders", raw().folder(b"a").folder(b"a/").end(), "a/", Fault::Duplicate),
        ("two roots", raw().folder(b"./").folder(b".").end(), ".", Fault::Duplicate),
        (
            "a link over a folder",
            raw().folder(b"a").link(b"a", b"/etc").end(),
            "a",
            Fault::Duplicate,
        ),
        (
            "a link over an implied folder",
            raw().file(b"a/b").link(b"a", b"/etc").end(),
            "a",
            Fault::Duplicate,
        ),
        (
            "a folder over a link",
            raw().link(b"a", b"/etc").folder(b"a/").end(),
            "a/",
            Fault::Duplicate,
        ),
        (
            "a link over a link",
            raw().link(b"a", b"/").link(b"a", b"/etc").end(),
            "a",
            Fault::Duplicate,
        ),
        (
            "a hard link over a file",
            raw().file(b"a").file(b"b").hard_link(b"b", b"a").end(),
            "b",
            Fault::Duplicate,
        ),
    ]);
}

// R95
#[test]
fn what_programs_would_read_in_different_ways_is_refused() {
    refuse_all(vec![
        ("a link with content", raw().header(b"a", b'2', 512, b"x").end(), "a", Fault::Content),
        (
            "a hard link with content",
            raw().file(b"b").header(b"a", b'1', 4, b"b").end(),
            "a",
            Fault::Content,
        ),
        ("a folder with content", raw().header(b"a/", b'5', 512, b"").end(), "a/", Fault::Content),
        (
            "two long names",
            raw().entry(b"l", b'L', b"a").entry(b"l", b'L', b"b").file(b"c").end(),
            "",
            Fault::Description,
        ),
        (
            "two lists of records",
            raw().record("path", b"a").record("path", b"b").file(b"c").end(),
            "",
            Fault::Description,
        ),
        (
            "a name in two forms",
            raw().entry(b"l", b'L', b"a").record("path", b"b").file(b"c").end(),
            "a",
            Fault::Description,
        ),
        ("a long name of nothing", raw().entry(b"l", b'L', b"a").end(), "", Fault::Description),
        ("records of nothing", raw().record("path", b"a").end(), "", Fault::Description),
    ]);
}

// R95
#[test]
fn what_no_file_has_is_refused() {
    refuse_all(vec![
        (
            "a malformed record",
            raw().entry(b"x", b'x', b"9 path=ab\n").file(b"c").end(),
            "c",
            Fault::Record,
        ),
        (
            "a record that is too short",
            raw().entry(b"x", b'x', b"99 path=a\n").file(b"c").end(),
            "c",
            Fault::Record,
        ),
        ("a size that is none", raw().record("size", b"-1").file(b"c").end(), "c", Fault::Record),
        ("a time that is none", raw().record("mtime", b"1e9").file(b"c").end(), "c", Fault::Record),
        (
            "an owner that is too large",
            raw().record("uid", b"4294967296").file(b"c").end(),
            "c",
            Fault::Number,
        ),
        (
            "an owner that is negative",
            changed(|header| header.as_old_mut().uid = [0xFF; 8]),
            "file",
            Fault::Number,
        ),
        (
            "a mode that is none",
            changed(|header| header.as_old_mut().mode = *b"rw-r--r-"),
            "file",
            Fault::Number,
        ),
        (
            "an attribute's name",
            raw().record(&format!("SCHILY.xattr.user.{}", "a".repeat(251)), b"x").file(b"c").end(),
            "c",
            Fault::Attribute,
        ),
        (
            "an attribute's value",
            raw().record("SCHILY.xattr.user.a", &vec![b'x'; 100_000]).file(b"c").end(),
            "c",
            Fault::Attribute,
        ),
    ]);
}

// R95
#[test]
fn what_is_no_archive_or_not_all_of_one_is_refused() {
    refuse_all(vec![
        ("no header", raw().bytes(&[b'x'; 512]).end(), "", Fault::Header),
        (
            "a sum that does not fit",
            raw()
                .file(b"a")
                .bytes(&{
                    let mut bytes = *header(b"b", b'0', 0, b"").as_bytes();
                    bytes[0] = b'c';
                    bytes
                })
                .end(),
            "a",
            Fault::Header,
        ),
        ("no end", raw().file(b"a"), "a", Fault::Truncated),
        ("nothing", raw(), "", Fault::Truncated),
        ("half a header", raw().file(b"a").bytes(&[1; 100]), "a", Fault::Truncated),
        (
            "half a file",
            raw().header(b"a", b'0', 5000, b"").bytes(&[1; 1000]),
            "a",
            Fault::Truncated,
        ),
        (
            "something behind the end",
            raw().file(b"a").end().file(b"b").end(),
            "",
            Fault::BehindTheEnd,
        ),
    ]);
}

// R95
#[test]
fn lists_of_a_sparse_files_parts_that_do_not_fit_are_refused() {
    refuse_all(vec![
        (
            "overlapping parts",
            sparse(&[(0, 1024), (512, 1024)], 4096, 2048),
            "file",
            Fault::SparseMap,
        ),
        ("parts behind the end", sparse(&[(4096, 512)], 4096, 512), "file", Fault::SparseMap),
        ("parts that are not there", sparse(&[(0, 512)], 4096, 2048), "file", Fault::SparseMap),
        ("parts that overflow", sparse(&[(512, u64::MAX)], 4096, 2048), "file", Fault::SparseMap),
        ("half a block", sparse(&[(0, 100), (1024, 100)], 4096, 200), "file", Fault::SparseMap),
        (
            "old sparse records",
            raw().record("GNU.sparse.map", b"0,512").file(b"c").end(),
            "c",
            Fault::SparseForm,
        ),
        (
            "half of what is said of a sparse file",
            raw().record("GNU.sparse.major", b"1").file(b"c").end(),
            "c",
            Fault::SparseForm,
        ),
    ]);
}

// R95
#[test]
fn an_exported_checkpoint_has_the_trees_that_it_says_it_has() {
    refuse_all(vec![
        ("a file at the top", both().file(b"other").end(), "other", Fault::NoSuchTree),
        ("a folder at the top", both().folder(b"other/").end(), "other/", Fault::NoSuchTree),
        (
            "the same file again",
            both().file(b"armor-checkpoint.json").end(),
            "armor-checkpoint.json",
            Fault::NoSuchTree,
        ),
        (
            "a tree that is a link",
            Raw::ours(ROOTS).link(b"workspace", b"/").end(),
            "workspace",
            Fault::NotInFolder,
        ),
        (
            "a tree that is missing",
            Raw::ours(ROOTS).folder(b"workspace/").end(),
            "memory",
            Fault::TreeMissing,
        ),
        (
            "no JSON",
            raw().file(b"armor-checkpoint.json").end(),
            "armor-checkpoint.json",
            Fault::About,
        ),
        (
            "a tree with a bad name",
            Raw::ours(r#"[{"name":"../a"}]"#).end(),
            "armor-checkpoint.json",
            Fault::About,
        ),
        (
            "a tree twice",
            Raw::ours(r#"[{"name":"a"},{"name":"a"}]"#).end(),
            "armor-checkpoint.json",
            Fault::About,
        ),
        (
            "a newer format",
            raw().entry(b"armor-checkpoint.json", b'0', br#"{"format":2,"roots":[]}"#).end(),
            "armor-checkpoint.json",
            Fault::Format(2),
        ),
    ]);
}

#[test]
fn names_and_paths_that_are_too_long_are_refused() {
    let names =
        [("n".repeat(256), Fault::NameTooLong), (vec!["d"; 2049].join("/"), Fault::PathTooLong)];
    for (path, fault) in names {
        let archive = gzip(&long(path.as_bytes()).0);
        let (at, reason) = refused(&Place::new(), archive.as_slice(), &ROOMY, "too long");
        assert_eq!(reason, fault);
        assert!(at.ends_with('…') && at.chars().count() == 121, "{at}");
    }
}

#[test]
fn what_is_no_gzip_or_has_something_behind_it_is_refused() {
    let plain = Raw::default().file(b"a").end().0;
    let whole = gzip(&plain);
    let with = |more: &[u8]| [whole.as_slice(), more].concat();
    for (archive, fault) in [
        (plain.clone(), Fault::NotGzip),
        (b"PK\x03\x04".to_vec(), Fault::NotGzip),
        (Vec::new(), Fault::NotGzip),
        (vec![0x1F], Fault::NotGzip),
        (with(b"garbage that is no gzip"), Fault::Damaged),
        (with(&[0; 4096]), Fault::Damaged),
        (with(&gzip(&Raw::default().file(b"b").end().0)), Fault::BehindTheEnd),
    ] {
        assert_eq!(refused(&Place::new(), archive.as_slice(), &ROOMY, "no gzip").1, fault);
    }
    // A gzip stream may be in several pieces, as some programs that compress on all processors write it.
    let place = Place::new();
    let pieces = plain.chunks(700).flat_map(gzip).collect::<Vec<_>>();
    let imported = import(&place, pieces.as_slice(), &ROOMY).unwrap();
    assert_eq!(fs::read_to_string(place.restore(&imported).join("a")).unwrap(), "text");
}

/// Gives a piece, and then another one over and over, and says how often.
struct Bomb<'a> {
    first: &'a [u8],
    again: &'a [u8],
    rest: &'a [u8],
    times: u32,
}

impl Read for Bomb<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !self.first.is_empty() {
            return self.first.read(buffer);
        }
        if self.rest.is_empty() && self.times > 0 {
            (self.rest, self.times) = (self.again, self.times - 1);
        }
        self.rest.read(buffer)
    }
}

// R95: what is small and says that it is large is refused before it has been read.
#[test]
fn bombs_are_refused_after_a_small_part_of_them() {
    let zeros = gzip(&vec![0; 32 << 20]);
    let ten_gib = 10_u64 << 30;
    let described = |kind| gzip(&raw().header(b"x", kind, ten_gib, b"").0);
    let limits = ImportLimits { entries: 1000, bytes: 1 << 30 };
    let sparse = changed(|header| {
        header.as_old_mut().linkflag[0] = b'S';
        header.as_gnu_mut().unwrap().set_real_size(1 << 62);
    });
    for (what, first, fault) in [
        ("nothing but zeros", gzip(&[0; 512]), Fault::BehindTheEnd),
        ("a file", gzip(&raw().header(b"a", b'0', ten_gib, b"").0), Fault::TooManyBytes(1 << 30)),
        ("a sparse file", gzip(&sparse.0), Fault::TooManyBytes(1 << 30)),
        ("a long name", described(b'L'), Fault::DescriptionTooLong),
        ("a long target", described(b'K'), Fault::DescriptionTooLong),
        ("records", described(b'x'), Fault::DescriptionTooLong),
        ("records of all", described(b'g'), Fault::DescriptionTooLong),
        (
            "a file whose size is in a record",
            gzip(&raw().record("size", b"10737418240").file(b"a").0),
            Fault::TooManyBytes(1 << 30),
        ),
    ] {
        let mut bomb = Bomb { first: &first, again: &zeros, rest: b"", times: 320 };
        let (_, reason) = refused(&Place::new(), &mut bomb, &limits, what);
        assert_eq!(reason, fault, "{what}");
        assert!(bomb.times >= 318, "{what}: {} pieces were read", 320 - bomb.times);
    }
}

#[test]
fn more_entries_than_are_allowed_are_refused_also_where_they_are_only_implied() {
    let limits = ImportLimits { entries: 100, bytes: 1 << 30 };
    let deep = vec!["d"; 120].join("/");
    let globals = (0..101).fold(Raw::default(), |raw, _| raw.entry(b"g", b'g', b""));
    let files = (0..101).fold(Raw::default(), |raw, at| raw.file(at.to_string().as_bytes()));
    for raw in [
        files,
        globals.file(b"a").end(),
        Raw::default().entry(b"l", b'L', deep.as_bytes()).file(b"a").end(),
    ] {
        let (_, reason) = refused(&Place::new(), gzip(&raw.0).as_slice(), &limits, "entries");
        assert_eq!(reason, Fault::TooManyEntries(100));
    }
    let bytes = ImportLimits { entries: 100, bytes: 7 };
    let raw = Raw::default().file(b"a").file(b"b").end();
    let (at, reason) = refused(&Place::new(), gzip(&raw.0).as_slice(), &bytes, "bytes");
    assert_eq!((at.as_str(), reason), ("b", Fault::TooManyBytes(7)));
    // What is read and thrown away takes its time, too.
    let said = Raw::default().entry(b"g", b'g', b"16 comment=abcd\n").end();
    let (_, reason) = refused(&Place::new(), gzip(&said.0).as_slice(), &bytes, "records");
    assert_eq!(reason, Fault::TooManyBytes(7));
    assert!(
        import(&Place::new(), gzip(&raw.0).as_slice(), &ImportLimits { bytes: 8, ..bytes }).is_ok()
    );
}

#[test]
fn long_runs_of_zeros_take_no_room() {
    let zeros = gzip(&vec![0; 32 << 20]);
    let first = gzip(&Raw::default().header(b"a", b'0', 256 << 20, b"").0);
    let end = gzip(&[0; 1024]);
    let place = Place::new();
    let bomb = Bomb { first: &first, again: &zeros, rest: b"", times: 8 };
    let imported = import(&place, bomb.chain(end.as_slice()), &ROOMY).unwrap();
    assert_eq!(imported.stats().bytes, 256 << 20);
    assert!(imported.stats().bytes_added < 4096);
    let stat = fs::metadata(place.restore(&imported).join("a")).unwrap();
    assert_eq!((stat.len(), stat.blocks()), (256 << 20, 0));
}

#[test]
fn folders_that_are_not_mentioned_are_made_like_what_is_in_them() {
    let raw = Raw::default()
        .entry(b"pax_global_header", b'g', b"16 comment=abcd\n")
        .record("mtime", b"-1.25")
        .file(b"a/b/file")
        .folder(b"a/later/")
        .file(b"a/later/x")
        .folder(b"a/b/")
        .entry(b"old/", 0, b"")
        .entry(b"continuous", b'7', b"text")
        .link(b"out", b"../../etc")
        .end();
    let place = Place::new();
    let imported = import(&place, gzip(&raw.0).as_slice(), &ROOMY).unwrap();
    assert_eq!((imported.stats().files, imported.stats().folders), (4, 4));
    let restored = place.restore(&imported);
    let is_root = rustix::process::geteuid().is_root();
    let look = |path: &str| {
        let stat = fs::symlink_metadata(restored.join(path)).unwrap();
        assert!(!is_root || (stat.uid(), stat.gid()) == (12, 34), "{path}");
        (stat.mode() & 0o7777, stat.mtime(), stat.mtime_nsec())
    };
    assert_eq!(look(""), (0o755, -2, 750_000_000));
    assert_eq!(look("a"), (0o755, -2, 750_000_000));
    assert_eq!(look("a/b"), (0o644, 1000, 0));
    assert_eq!(look("a/b/file"), (0o644, -2, 750_000_000));
    assert_eq!(look("a/later"), (0o644, 1000, 0));
    assert_eq!(look("out"), (0o777, 1000, 0));
    assert!(restored.join("old").is_dir());
    assert_eq!(fs::read_link(restored.join("out")).unwrap().to_str(), Some("../../etc"));
}

#[test]
fn an_archive_with_nothing_in_it_is_an_empty_folder() {
    let place = Place::new();
    let imported = import(&place, gzip(&Raw::default().end().0).as_slice(), &ROOMY).unwrap();
    assert_eq!(fs::read_dir(place.restore(&imported)).unwrap().count(), 0);
}

// R95: damage that was there before the archive was compressed fits its checksums.
#[test]
fn no_damage_to_the_headers_makes_a_panic() {
    let whole = Raw::default()
        .record("SCHILY.xattr.user.a", b"x")
        .entry(b"l", b'L', &[b'a'; 120])
        .file(b"short")
        .folder(b"d")
        .hard_link(b"d/h", b"d/f")
        .link(b"l", b"x")
        .end();
    let place = Place::new();
    for at in 0..whole.0.len() {
        let mut raw = whole.clone();
        raw.0[at] = raw.0[at].wrapping_add(1 + u8::try_from(at % 251).unwrap());
        // The sum of the header that it is in fits again, so that the rest is looked at.
        let header = at / 512 * 512;
        let mut fixed = Header::from_byte_slice(&raw.0[header..header + 512]).clone();
        fixed.set_cksum();
        raw.0[header..header + 512].copy_from_slice(fixed.as_bytes());
        match import(&place, gzip(&raw.0).as_slice(), &ROOMY) {
            Ok(_) => place.store.forget(&Place::task()).unwrap(),
            Err(error) => assert_eq!(error.code(), Code::CheckpointBadArchive, "{at}: {error}"),
        }
    }
}
