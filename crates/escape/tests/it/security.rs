//! What docs/security.md says of the cases is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use armor_escape::all;

/// The rows of a table behind a heading, as their cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/security.md");
    let text = fs::read_to_string(file).unwrap();
    let (_, behind) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = behind.split("\n## ").next().unwrap();
    let table = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    table.map(cells).collect()
}

/// What stands between quotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('"').skip(1).step_by(2)
}

#[test]
fn every_case_that_is_named_as_a_proof_is_there() {
    let names: BTreeSet<_> = all().iter().map(|case| case.name).collect();
    let mut cited = 0;
    for row in rows("What is worth attacking, and what keeps it") {
        let [_, _, proof] = row.as_slice() else { panic!("{row:?}") };
        for name in quoted(proof) {
            assert!(names.contains(name), "docs/security.md names no case: {name}");
            cited += 1;
        }
        // An area as a whole is no proof of anything in particular.
        assert_eq!(proof.contains("escape: "), quoted(proof).count() > 0, "{proof}");
    }
    assert!(cited > 0);
}

#[test]
fn a_name_is_that_of_one_case_and_every_area_is_told() {
    let cases = all();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len());
    assert!(names.iter().all(|name| !name.contains(['"', '|'])));
    let told: BTreeSet<_> = rows("The cases").into_iter().map(|mut row| row.remove(0)).collect();
    let areas: BTreeSet<_> = cases.iter().map(|case| case.area.to_string()).collect();
    assert_eq!(told, areas);
}
