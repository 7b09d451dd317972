//! A tree becomes another one in its place while rules leave things out: those stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use armor_checkpoint_store::{Manifest, Reason, Root, Rules, Store, StoreError};
use armor_core::error::{Code, Diagnostic};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::plot::{act_all, deed};
use crate::replace::replace;
use crate::rules::{named, write};
use crate::support::{Place, describe};

/// Goes back to a checkpoint as lifecycles do: with one of what is there first.
fn go_back(place: &Place, rules: &Rules, wanted: &Manifest) -> Manifest {
    let safety = take_before(place, rules, wanted);
    replace(place, &safety, wanted);
    safety
}

fn take_before(place: &Place, rules: &Rules, wanted: &Manifest) -> Manifest {
    let roots = [Root { name: "workspace", path: &place.tree() }];
    place.store.take_before(place.draft(), &roots, rules, wanted).unwrap()
}

fn text(place: &Place, file: &str) -> Option<String> {
    fs::read_to_string(place.tree().join(file)).ok()
}

fn left_out(manifest: &Manifest) -> BTreeSet<&str> {
    manifest.left_out().map(|out| out.path.as_str()).collect()
}

#[test]
fn what_the_checkpoint_has_is_kept_before_it_is_replaced_whatever_the_rules_say() {
    let place = Place::new();
    write(&place, "target/a", "old");
    write(&place, "target/gone", "old");
    let wanted = place.take();
    write(&place, "target/a", "new");
    write(&place, "target/later", "new");
    fs::remove_file(place.tree().join("target/gone")).unwrap();

    let safety = go_back(&place, &named(&["target/"]), &wanted);
    assert_eq!(text(&place, "target/a").unwrap(), "old");
    assert_eq!(text(&place, "target/gone").unwrap(), "old");
    // The rules leave that out: it stays.
    assert_eq!(text(&place, "target/later").unwrap(), "new");
    assert_eq!(left_out(&safety), BTreeSet::from(["target/later"]));
    let kept = place.restore(&safety);
    assert_eq!(fs::read_to_string(kept.join("target/a")).unwrap(), "new");
}

#[test]
fn what_rules_left_out_of_the_checkpoint_stays_whatever_the_rules_say_now() {
    let place = Place::new();
    for file in ["a", "target/x", "sub/b.tmp"] {
        write(&place, file, "old");
    }
    let wanted = place.take_by(&named(&["target/", "*.tmp"]));
    for file in ["a", "target/x", "target/y", "sub/b.tmp"] {
        write(&place, file, "new");
    }
    let safety = go_back(&place, &Rules::none(), &wanted);
    assert_eq!(text(&place, "a").unwrap(), "old");
    for file in ["target/x", "target/y", "sub/b.tmp"] {
        assert_eq!(text(&place, file).unwrap(), "new", "{file}");
    }
    let out: Vec<_> = safety.left_out().map(|out| (out.path.as_str(), out.reason)).collect();
    assert_eq!(out, [("sub/b.tmp", Reason::Named), ("target", Reason::Named)]);

    // Also when the one of what is there has it.
    write(&place, "a", "newer");
    replace(&place, &place.take(), &wanted);
    assert_eq!(text(&place, "a").unwrap(), "old");
    assert_eq!(text(&place, "target/y").unwrap(), "new");
}

#[test]
fn what_neither_speaks_of_is_for_the_rules_to_say() {
    let place = Place::new();
    write(&place, "a", "old");
    let wanted = place.take_by(&named(&["target/"]));
    write(&place, "b", "new");
    write(&place, "target/x", "new");
    let safety = go_back(&place, &named(&["target/"]), &wanted);
    assert_eq!(text(&place, "b"), None);
    assert_eq!(text(&place, "target/x").unwrap(), "new");
    assert_eq!(left_out(&safety), BTreeSet::from(["target"]));
    // Without rules it is something like other things: kept, and gone.
    let safety = go_back(&place, &Rules::none(), &wanted);
    assert_eq!(text(&place, "target/x"), None);
    assert_eq!(fs::read_to_string(place.restore(&safety).join("target/x")).unwrap(), "new");
}

#[test]
fn a_folder_in_which_something_was_left_out_stays_with_that_alone() {
    let place = Place::new();
    write(&place, "a", "old");
    let wanted = place.take();
    for file in ["new/deep/target/x", "new/deep/b", "new/c", "other/d"] {
        write(&place, file, "new");
    }
    let rules = named(&["target/"]);
    go_back(&place, &rules, &wanted);
    let there: Vec<_> = describe(&place.tree()).into_keys().collect();
    let expected =
        ["", "a", "new", "new/deep", "new/deep/target", "new/deep/target/x"].map(str::as_bytes);
    assert_eq!(there, expected);
    // Nothing is left to do.
    assert_eq!(replace(&place, &take_before(&place, &rules, &wanted), &wanted), 0);
}

#[test]
fn what_would_be_lost_is_in_the_way_and_nothing_is_touched() {
    let place = Place::new();
    write(&place, "a", "old");
    write(&place, "b", "old");
    let wanted = place.take();
    fs::remove_file(place.tree().join("a")).unwrap();
    write(&place, "a/target/x", "new");
    write(&place, "b", "new");
    let before = describe(&place.tree());
    let safety = take_before(&place, &named(&["target/"]), &wanted);
    let roots = [Root { name: "workspace", path: &place.tree() }];
    let error = place.store.replace(&safety, &wanted, &roots, &place.path("work")).unwrap_err();
    assert!(matches!(&error, StoreError::InTheWay { path } if *path == place.tree().join("a")));
    assert_eq!(error.code(), Code::CheckpointOccupied);
    assert_eq!(describe(&place.tree()), before);
    assert!(!Store::finish(&place.path("work")).unwrap());
    fs::remove_dir_all(place.path("work")).unwrap();

    // Neither is what was taken without a thought of what is wanted.
    let place = Place::new();
    write(&place, "target/x", "old");
    let wanted = place.take();
    write(&place, "target/x", "new");
    let now = place.take_by(&named(&["target/"]));
    let roots = [Root { name: "workspace", path: &place.tree() }];
    let error = place.store.replace(&now, &wanted, &roots, &place.path("work")).unwrap_err();
    assert!(matches!(error, StoreError::InTheWay { .. }));
    assert_eq!(text(&place, "target/x").unwrap(), "new");
}

/// What is said of a path, but for its file's other names: of those, some may be left out.
fn alone(line: &str) -> &str {
    line.split(" one file").next().unwrap()
}

/// The content of a file that has several names, all that is said of others: mode and time of such a file
/// are those of the name that is taken in.
fn own(line: &str) -> String {
    let words = |line: &str| line.split(' ').skip(3).take(2).collect::<Vec<_>>().join(" ");
    line.split_once(" one file").map_or_else(|| line.to_owned(), |(line, _)| words(line))
}

/// What of a tree rules left out, as it is.
fn by_rule(place: &Place, out: &BTreeSet<Vec<u8>>) -> BTreeMap<Vec<u8>, String> {
    let is_out = |path: &[u8]| {
        let rest = |out: &Vec<u8>| path.strip_prefix(out.as_slice()).map(<[u8]>::first);
        out.iter().filter_map(rest).any(|rest| matches!(rest, None | Some(b'/')))
    };
    describe(&place.tree()).into_iter().filter(|(path, _)| is_out(path)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    // Whatever the trees and the rules: what is left out stays to the last bit, and all else is as wanted.
    #[test]
    fn what_is_left_out_stays_and_the_rest_becomes_as_wanted(
        first in vec(deed(), 0..30), later in vec(deed(), 0..30), names in 0..4_usize, names_then in 0..4_usize,
    ) {
        let choice = [&[][..], &["a/"], &["b"], &["/a/b", "ü"]];
        let place = Place::new();
        act_all(&place.tree(), &first);
        let wanted = place.take_by(&named(choice[names_then]));
        act_all(&place.tree(), &later);
        let safety = take_before(&place, &named(choice[names]), &wanted);
        let both = wanted.left_out().chain(safety.left_out());
        let out: BTreeSet<_> = both.map(|out| out.exact_path().to_vec()).collect();
        let (stays, before) = (by_rule(&place, &out), describe(&place.tree()));

        let roots = [Root { name: "workspace", path: &place.tree() }];
        let work = place.path("work");
        match place.store.replace(&safety, &wanted, &roots, &work) {
            Err(StoreError::InTheWay { .. }) => {
                prop_assert_eq!(describe(&place.tree()), before);
                return Ok(());
            }
            replaced => drop(replaced.unwrap()),
        }
        assert!(Store::finish(&work).unwrap());
        fs::remove_dir_all(work).unwrap();
        let stayed = by_rule(&place, &out);
        prop_assert_eq!(stayed.len(), stays.len());
        for (path, line) in stays {
            let own = own(&line);
            prop_assert!(stayed.get(&path).is_some_and(|line| alone(line).contains(&own)));
        }
        let now = describe(&place.tree());
        for (path, line) in describe(&place.restore(&wanted)) {
            prop_assert_eq!(now.get(&path).map(|now| alone(now)), Some(alone(&line)));
        }
        // There is nothing left to do.
        let again = take_before(&place, &named(choice[names]), &wanted);
        prop_assert_eq!(replace(&place, &again, &wanted), 0);
    }
}
