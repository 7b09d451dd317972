//! What rules leave out, beside real repositories of git.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use armor_checkpoint_store::{LeftOut, Manifest, Reason, Root, Rules, StoreError};
use armor_core::error::{Code, Diagnostic};
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Place, describe};

/// Something done to a path.
type Deed<'a> = &'a dyn Fn(&Path);

/// Runs git in a folder, and gives what it says.
fn git(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The paths that git lists.
fn listed(folder: &Path, arguments: &[&str]) -> BTreeSet<Vec<u8>> {
    let said = git(folder, &[&["ls-files", "-z"], arguments].concat());
    said.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect()
}

/// A place whose tree is a repository with these files.
fn repository(files: &[&str]) -> Place {
    let place = Place::new();
    git(&place.tree(), &["init", "-q"]);
    for file in files {
        write(&place, file, file);
    }
    place
}

pub(crate) fn write(place: &Place, file: &str, text: &str) {
    let path = place.tree().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What is in a tree and not in `.git`, folders too.
fn paths(root: &Path) -> BTreeSet<Vec<u8>> {
    let all = describe(root).into_keys();
    all.filter(|path| !path.is_empty() && path != b".git" && !path.starts_with(b".git/")).collect()
}

fn files(root: &Path) -> BTreeSet<Vec<u8>> {
    let is_file = |path: &Vec<u8>| !root.join(OsStr::from_bytes(path)).is_dir();
    paths(root).into_iter().filter(is_file).collect()
}

/// Paths of what is left out, each with its reason.
fn left_out(manifest: &Manifest) -> Vec<(&str, Reason)> {
    manifest.left_out().map(|out| (out.path.as_str(), out.reason)).collect()
}

pub(crate) fn named(names: &[&str]) -> Rules {
    Rules { names: names.iter().map(|name| (*name).to_owned()).collect(), ..Rules::none() }
}

fn by_git() -> Rules {
    Rules { git_ignored: true, ..Rules::none() }
}

fn by_all() -> Rules {
    Rules { armor_ignored: true, git_ignored: true, ..named(&["node_modules/", "*.tmp"]) }
}

#[test]
fn folders_that_are_named_are_left_out_wherever_they_are() {
    let place = repository(&["src/a", "node_modules/x/y", "sub/node_modules/z", "sub/b.tmp"]);
    // A file of that name is no folder.
    write(&place, "other/node_modules", "text");
    let manifest = place.take_by(&named(&["node_modules/", "*.tmp"]));
    assert_eq!(
        left_out(&manifest),
        [
            ("node_modules", Reason::Named),
            ("sub/b.tmp", Reason::Named),
            ("sub/node_modules", Reason::Named)
        ]
    );
    let kept: BTreeSet<_> =
        [&b"other/node_modules"[..], b"src/a"].into_iter().map(<[u8]>::to_vec).collect();
    assert_eq!(files(&place.restore(&manifest)), kept);
}

#[test]
fn no_rules_leave_nothing_out() {
    let place = repository(&["a", "node_modules/x"]);
    write(&place, ".gitignore", "*");
    write(&place, ".armorignore", "*");
    let manifest = place.take();
    assert_eq!(left_out(&manifest), []);
    assert_eq!(describe(&place.restore(&manifest)), describe(&place.tree()));
}

#[test]
fn the_deeper_file_and_the_later_line_count() {
    let place = repository(&["a.log", "keep.log", "deep/a.log", "deep/b.log", "deep/er/b.log"]);
    write(&place, ".gitignore", "*.log\n!keep.log\n");
    write(&place, "deep/.gitignore", "!b.log\n/er/\n");
    let manifest = place.take_by(&by_git());
    let expected = [
        ("a.log", Reason::GitIgnored),
        ("deep/a.log", Reason::GitIgnored),
        ("deep/er", Reason::GitIgnored),
    ];
    assert_eq!(left_out(&manifest), expected);
    // Unless that is asked for, git's files say nothing.
    assert_eq!(left_out(&place.take_by(&Rules { git_ignored: false, ..by_all() })), []);
}

#[test]
fn what_only_this_repository_excludes_is_left_out_too() {
    let place = repository(&["a.log", "b.log"]);
    fs::write(place.tree().join(".git/info/exclude"), "*.log").unwrap();
    write(&place, ".gitignore", "!b.log");
    assert_eq!(left_out(&place.take_by(&by_git())), [("a.log", Reason::GitIgnored)]);
}

#[test]
fn an_armorignore_comes_before_gitignores_and_names() {
    let place = repository(&["a.log", "node_modules/x", "secret/key", "sub/b.tmp", "c.tmp"]);
    write(&place, ".gitignore", "*.log\n");
    write(&place, ".armorignore", "!*.log\n!node_modules/\nsecret/\n");
    write(&place, "sub/.armorignore", "!b.tmp");
    let manifest = place.take_by(&by_all());
    assert_eq!(left_out(&manifest), [("c.tmp", Reason::Named), ("secret", Reason::ArmorIgnored)]);
}

#[test]
fn long_files_are_left_out_unless_they_are_taken_in_or_tracked() {
    let place = repository(&[]);
    for file in ["long", "tracked", "wanted", ".git/long"] {
        write(&place, file, &"x".repeat(1001));
    }
    write(&place, "short", &"x".repeat(1000));
    write(&place, ".armorignore", "!wanted");
    git(&place.tree(), &["add", "tracked"]);
    let rules = Rules { largest: Some(1000), armor_ignored: true, ..Rules::none() };
    let manifest = place.take_by(&rules);
    assert_eq!(left_out(&manifest), [("long", Reason::TooLarge)]);
    assert_eq!(manifest.left_out().next().unwrap().bytes, Some(1001));
}

#[test]
fn what_git_tracks_stays_within_a_folder_that_is_left_out() {
    let place = repository(&["target/keep.txt", "target/x.o", "target/deep/y.o", "target/e/f/k"]);
    git(&place.tree(), &["add", "-f", "target/keep.txt", "target/e/f/k"]);
    for rules in [named(&["target/"]), named(&["*"])] {
        let manifest = place.take_by(&rules);
        assert_eq!(
            left_out(&manifest),
            [("target/deep", Reason::Named), ("target/x.o", Reason::Named)]
        );
        let restored = place.restore(&manifest);
        let missing = git(&restored, &["ls-files", "--deleted"]);
        assert!(missing.is_empty(), "{}", String::from_utf8_lossy(&missing));
    }
}

#[test]
fn nothing_within_dot_git_is_left_out() {
    let place = repository(&["a"]);
    for file in [".git/refs/heads/target/x", ".git/target/y", "sub/.git/refs/heads/target/x"] {
        write(&place, file, "x");
    }
    let manifest = place.take_by(&named(&["target/", ".git/", "*"]));
    assert_eq!(left_out(&manifest), [("a", Reason::Named), ("sub", Reason::Named)]);
    let manifest = place.take_by(&named(&["target/", ".git/"]));
    assert_eq!(left_out(&manifest), []);
}

#[test]
fn nothing_within_a_submodule_is_left_out() {
    let place = repository(&["a.log"]);
    let other = repository(&["target/x"]);
    git(&other.tree(), &["add", "."]);
    let commit = ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "a"];
    git(&other.tree(), &commit);
    let from = other.tree();
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q"];
    git(&place.tree(), &[&add[..], &[from.to_str().unwrap(), "lib"]].concat());
    write(&place, "lib/target/more", "text");
    assert_eq!(left_out(&place.take_by(&named(&["target/", "*.log"]))), [("a.log", Reason::Named)]);
}

#[test]
fn a_repository_within_the_tree_keeps_what_it_tracks() {
    let place = Place::new();
    write(&place, "one/target/keep", "text");
    write(&place, "one/target/x", "text");
    write(&place, "two/target/keep", "text");
    git(&place.tree().join("one"), &["init", "-q"]);
    git(&place.tree().join("one"), &["add", "target/keep"]);
    assert_eq!(
        left_out(&place.take_by(&named(&["target/"]))),
        [("one/target/x", Reason::Named), ("two/target", Reason::Named)]
    );
}

#[test]
fn every_form_of_an_index_is_understood() {
    let forms: [&[&[&str]]; 6] = [
        &[&["init", "-q"]],
        &[&["init", "-q", "--object-format=sha256"]],
        &[&["init", "-q"], &["config", "index.version", "4"]],
        &[&["init", "-q", "--object-format=sha256"], &["config", "index.version", "4"]],
        &[&["init", "-q"], &["config", "index.skipHash", "true"]],
        &[&["init", "-q"], &["config", "core.splitIndex", "true"]],
    ];
    for form in forms {
        let place = Place::new();
        for arguments in form {
            git(&place.tree(), arguments);
        }
        let long = format!("target/{}", "n".repeat(200));
        for file in ["target/a", "target/ab", "target/b/c", "target/later", &long] {
            write(&place, file, "text");
        }
        write(&place, "target/out", "text");
        git(&place.tree(), &["add", "target/a", "target/ab", "target/b/c", &long]);
        // In a split index, in the other file; and in one of the third version.
        git(&place.tree(), &["add", "-N", "target/later"]);
        let manifest = place.take_by(&named(&["target/"]));
        assert_eq!(left_out(&manifest), [("target/out", Reason::Named)], "{form:?}");
    }
}

#[test]
fn where_it_is_not_known_what_git_tracks_nothing_is_left_out() {
    let harm: [Deed<'_>; 6] = [
        &|git| fs::write(git.join("index"), "no index").unwrap(),
        &|git| {
            let mut bytes = fs::read(git.join("index")).unwrap();
            *bytes.get_mut(70).unwrap() ^= 1;
            fs::write(git.join("index"), bytes).unwrap();
        },
        &|git| {
            fs::rename(git.join("index"), git.join("moved")).unwrap();
            symlink("moved", git.join("index")).unwrap();
        },
        &|git| {
            fs::remove_file(git.join("index")).unwrap();
            mknodat(CWD, git.join("index"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        },
        &|git| {
            // As in a worktree.
            fs::remove_dir_all(git).unwrap();
            fs::write(git, "gitdir: /somewhere").unwrap();
        },
        &|git| {
            fs::rename(git, git.with_file_name("moved")).unwrap();
            symlink("moved", git).unwrap();
        },
    ];
    for (number, harm) in harm.iter().enumerate() {
        let place = repository(&["target/keep", "target/x"]);
        git(&place.tree(), &["add", "target/keep"]);
        assert_eq!(left_out(&place.take_by(&named(&["target/"]))).len(), 1);
        harm(&place.tree().join(".git"));
        assert_eq!(left_out(&place.take_by(&named(&["target/"]))), [], "{number}");
    }
    // One to which nothing was ever added is no such case.
    let place = repository(&["target/x"]);
    assert_eq!(left_out(&place.take_by(&named(&["target/"]))), [("target", Reason::Named)]);
}

// R95: whoever works in the tree writes what is read here.
#[test]
fn what_is_no_file_of_patterns_leaves_nothing_out() {
    let hostile: [(&str, Deed<'_>); 6] = [
        ("a link", &|path| symlink("/etc/passwd", path).unwrap()),
        ("a pipe", &|path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap()),
        ("a folder", &|path| fs::create_dir(path).unwrap()),
        ("a long one", &|path| fs::write(path, "*\n".repeat(600_000)).unwrap()),
        ("no text", &|path| fs::write(path, b"*\n\xFF\n").unwrap()),
        ("no pattern", &|path| fs::write(path, "*\n[a\n").unwrap()),
    ];
    for (what, make) in hostile {
        for name in [".gitignore", ".armorignore"] {
            let place = repository(&["a", "b/c"]);
            make(&place.tree().join(name));
            let manifest = place.take_by(&by_all());
            assert_eq!(left_out(&manifest), [], "{what}");
            let restored = describe(&place.restore(&manifest));
            assert_eq!(restored, describe(&place.tree()), "{what}");
        }
    }
    // A link whose target would count.
    let place = repository(&["a", "b/c"]);
    write(&place, "b/patterns", "*");
    symlink("b/patterns", place.tree().join(".gitignore")).unwrap();
    assert_eq!(left_out(&place.take_by(&by_git())), []);
}

#[test]
fn more_patterns_than_are_read_leave_nothing_out() {
    let place = repository(&[]);
    for number in 0..20 {
        write(&place, &format!("{number}/.gitignore"), &"x\n".repeat(9_000));
        write(&place, &format!("{number}/x"), "text");
    }
    let out = left_out(&place.take_by(&by_git())).len();
    assert!((10..20).contains(&out), "{out}");
}

#[test]
fn a_name_that_is_no_pattern_is_an_error() {
    let place = repository(&["a"]);
    let rules = named(&["target/", "a[b"]);
    let roots = [Root { name: "workspace", path: &place.tree() }];
    let error = place.store.take(place.draft(), &roots, &rules).unwrap_err();
    assert!(matches!(&error, StoreError::NoPattern { line } if line == "a[b"));
    assert_eq!(error.code(), Code::ConfigInvalid);
    assert_eq!(place.store.list(&Place::task()).unwrap(), []);
}

#[test]
fn a_path_that_is_no_text_is_told_to_the_byte() {
    let place = repository(&[]);
    fs::write(place.tree().join(OsStr::from_bytes(b"\xFF.tmp")), "text").unwrap();
    let manifest = place.take_by(&named(&["*.tmp"]));
    let told = place.store.get(&Place::task(), &manifest.id).unwrap();
    let out: Vec<_> = told.left_out().map(|out| (out.path.as_str(), out.exact_path())).collect();
    assert_eq!(out, [("\u{FFFD}.tmp", &b"\xFF.tmp"[..])]);
}

// As they were written before there were rules.
#[test]
fn what_was_left_out_before_there_were_rules_is_still_read() {
    let out: LeftOut = serde_json::from_str(r#"{ "path": "a/b", "reason": "socket" }"#).unwrap();
    assert_eq!((out.exact_path(), out.reason, out.bytes), (&b"a/b"[..], Reason::Socket, None));
    let written = serde_json::to_string(&out).unwrap();
    assert_eq!(written, r#"{"path":"a/b","reason":"socket"}"#);
}

#[test]
fn rules_that_change_do_not_harm_what_is_known_of_files() {
    let place = repository(&["a", "target/x", "target/y"]);
    let before = describe(&place.tree());
    for _ in 0..2 {
        let manifest = place.take_by(&named(&["target/"]));
        assert_eq!(left_out(&manifest), [("target", Reason::Named)]);
        assert_eq!(describe(&place.restore(&place.take())), before);
    }
    fs::write(place.tree().join("target/x"), "other").unwrap();
    place.take_by(&named(&["target/"]));
    let restored = place.restore(&place.take());
    assert_eq!(fs::read_to_string(restored.join("target/x")).unwrap(), "other");
}

#[test]
fn a_preview_says_what_a_checkpoint_would_have_and_writes_nothing() {
    let place = repository(&["src/a", "target/x", "target/deep/y", "b.tmp"]);
    let rules = named(&["target/", "*.tmp"]);
    let roots = [Root { name: "workspace", path: &place.tree() }];
    let store = describe(&place.path("home"));
    let previews = place.store.preview(&roots, &rules).unwrap();
    assert_eq!(describe(&place.path("home")), store);
    let out: Vec<_> =
        previews[0].left_out.iter().map(|out| (out.path.as_str(), out.bytes)).collect();
    assert_eq!(out, [("b.tmp", Some(5)), ("target", Some(8 + 13))]);

    let stats = place.take_by(&rules).stats();
    let preview = &previews[0];
    assert_eq!(preview.root, "workspace");
    assert_eq!(
        (preview.files, preview.folders, preview.bytes),
        (stats.files, stats.folders, stats.bytes)
    );
}

/// Few names, so that lines fit them.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "ab", "a.log", "target", "x y", "{a,b}", "[a]", "é"])
}

fn path() -> impl Strategy<Value = String> {
    vec(name(), 1..4).prop_map(|names| names.join("/"))
}

fn line() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a", "b", "*", "**", "?", "a*", "*b", "*.log", "[ab]", "[!a]", "[^b]", "target", "{a,b}",
        "\\[a\\]", "x\\ y", "x y", "a**", "é", "?b", "*a*b*",
    ]);
    let parts = vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let ends = (
        prop::sample::select(vec!["", "", "!", "/", "!/"]),
        parts,
        prop::sample::select(vec!["", "", "/", " ", "\r"]),
    );
    prop_oneof![
        // What git and its manual understand differently leaves nothing out.
        9 => ends
            .prop_map(|(first, parts, last)| format!("{first}{parts}{last}"))
            .prop_filter("two meanings", |line| {
                let pattern = line.trim_end().trim_end_matches('/');
                !pattern.contains("a**") || !pattern.contains('/')
            }),
        1 => prop::sample::select(vec!["#a", "", " ", "!", "/", "**/", "/**", "\\!a", "\\a", "a\\/b"])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    // What git tracks is never left out, and what is left out by git's files is what git ignores.
    #[test]
    fn a_checkpoint_has_what_git_tracks_and_leaves_out_what_git_ignores(
        paths in vec(path(), 1..20),
        tracked in vec(any::<prop::sample::Index>(), 0..5),
        ignored in vec((any::<prop::sample::Index>(), vec(line(), 1..5)), 0..4),
        excluded in vec(line(), 0..2),
        is_v4 in any::<bool>(),
    ) {
        let place = Place::new();
        let tree = place.tree();
        git(&tree, &["init", "-q"]);
        git(&tree, &["config", "index.version", if is_v4 { "4" } else { "2" }]);
        for path in &paths {
            let at = tree.join(path);
            // What is in the way of an earlier one is none.
            if fs::create_dir_all(at.parent().unwrap()).is_ok() && !at.exists() {
                let _written = fs::write(at, path);
            }
        }
        for (folder, lines) in ignored {
            let above = Path::new(folder.get(&paths)).parent().unwrap();
            let _written = fs::write(tree.join(above).join(".gitignore"), lines.join("\n"));
        }
        fs::write(tree.join(".git/info/exclude"), excluded.join("\n")).unwrap();
        let there: Vec<_> = files(&tree).into_iter().collect();
        for path in tracked {
            let path: &Vec<u8> = path.get(&there);
            let path = str::from_utf8(path).unwrap();
            git(&tree, &["--literal-pathspecs", "add", "-f", path]);
        }

        let tracked = listed(&tree, &[]);
        let rules = Rules { names: vec!["target/".to_owned(), "*b*".to_owned()], ..by_git() };
        let kept = files(&place.restore(&place.take_by(&rules)));
        prop_assert!(tracked.is_subset(&kept), "{tracked:?} {kept:?}");

        let ignored = listed(&tree, &["--others", "--ignored", "--exclude-standard"]);
        let manifest = place.take_by(&by_git());
        let kept = files(&place.restore(&manifest));
        let all: BTreeSet<_> = there.into_iter().collect();
        let expected: BTreeSet<_> = all.difference(&ignored).cloned().collect();
        prop_assert_eq!(kept, expected);

        let roots = [Root { name: "workspace", path: &tree }];
        let preview = place.store.preview(&roots, &by_git()).unwrap().remove(0);
        let previewed: Vec<_> =
            preview.left_out.iter().map(|out| (out.path.as_str(), out.reason)).collect();
        prop_assert_eq!(previewed, left_out(&manifest));
    }
}
