//! `cargo xtask tidy`: the house rules that no compiler knows.
//!
//! Crates depend on each other only along the edges of docs/architecture.md; every source file
//! opens with a `//!` sentence; every file of an integration test is included by its `main.rs`;
//! no file grows past 800 lines; `unsafe` stands where it is known to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{Outcome, root};

const LONGEST_FILE: usize = 800;

/// The files that may have `unsafe` in them, each with its reason in it.
const UNSAFE: [&str; 1] = ["bins/sandbox-runner/src/fork.rs"];

/// Which of our crates each crate may name among its dependencies.
const EDGES: &[(&str, &[&str])] = &[
    ("armor-output", &[]),
    ("armor-core", &["armor-output"]),
    ("armor-checkpoint-store", &["armor-core"]),
    ("armor-registry", &["armor-core"]),
    ("armor-events", &["armor-core"]),
    ("armor-jobs", &["armor-core"]),
    ("armor-escape", &["armor", "armor-testkit"]),
    ("armor-persistence", &["armor-core", "armor-output", "armor-registry"]),
    ("armor-runner-protocol", &[]),
    ("armor-sandbox-runner", &["armor-output", "armor-runner-protocol"]),
    ("armor-runner", &["armor-runner-protocol"]),
    ("armor-git", &["armor-core"]),
    ("armor-egress", &["armor-core"]),
    ("armor-docker", &["armor-core", "armor-output", "armor-runner"]),
    (
        "armor-lifecycle",
        &[
            "armor-checkpoint-store",
            "armor-core",
            "armor-egress",
            "armor-events",
            "armor-git",
            "armor-jobs",
            "armor-persistence",
            "armor-registry",
        ],
    ),
    (
        "armor-commands",
        &[
            "armor-checkpoint-store",
            "armor-core",
            "armor-events",
            "armor-git",
            "armor-lifecycle",
            "armor-persistence",
            "armor-registry",
        ],
    ),
    ("armor-mcp", &["armor-commands", "armor-core", "armor-lifecycle", "armor-registry"]),
    (
        "armor",
        &[
            "armor-checkpoint-store",
            "armor-commands",
            "armor-core",
            "armor-docker",
            "armor-events",
            "armor-git",
            "armor-jobs",
            "armor-lifecycle",
            "armor-persistence",
            "armor-registry",
        ],
    ),
    ("armor-cli", &["armor"]),
    ("armor-mcp-server", &["armor", "armor-mcp"]),
    ("armor-testkit", &["armor-core", "armor-docker"]),
    (
        "armor-torture",
        &[
            "armor-checkpoint-store",
            "armor-core",
            "armor-events",
            "armor-persistence",
            "armor-registry",
        ],
    ),
    (
        "armor-bench",
        &[
            "armor",
            "armor-checkpoint-store",
            "armor-core",
            "armor-docker",
            "armor-events",
            "armor-registry",
            "armor-testkit",
        ],
    ),
    ("xtask", &[]),
];

pub(crate) fn run() -> Outcome {
    println!("$ tidy");
    let mut found = Vec::new();
    for member in members()? {
        check_edges(&member, &mut found)?;
        for file in sources(&member)? {
            check_file(&file, &mut found)?;
        }
        check_tests_are_included(&member, &mut found)?;
    }
    if found.is_empty() { Ok(()) } else { Err(found.join("\n")) }
}

fn members() -> Result<Vec<PathBuf>, String> {
    let mut members = vec![root().join("xtask")];
    for folder in ["crates", "bins"] {
        members.extend(entries(&root().join(folder))?.into_iter().filter(|path| path.is_dir()));
    }
    Ok(members)
}

fn check_edges(member: &Path, found: &mut Vec<String>) -> Outcome {
    let manifest: toml::Table = read(&member.join("Cargo.toml"))?
        .parse()
        .map_err(|error| format!("{}: {error}", member.display()))?;
    let name = manifest["package"]["name"].as_str().unwrap_or_default();
    let Some((_, allowed)) = EDGES.iter().find(|(from, _)| *from == name) else {
        found.push(format!("{name}: not listed in xtask/src/tidy.rs and docs/architecture.md"));
        return Ok(());
    };
    if manifest["package"].get("description").is_none() {
        found.push(format!("{name}: says nowhere what it is for (package.description)"));
    }
    let none = toml::Table::new();
    let dependencies =
        manifest.get("dependencies").and_then(toml::Value::as_table).unwrap_or(&none);
    let ours: Vec<_> =
        dependencies.keys().filter(|key| *key == "armor" || key.starts_with("armor-")).collect();
    for dependency in &ours {
        if !allowed.contains(&dependency.as_str()) {
            found.push(format!("{name} must not depend on {dependency}"));
        }
    }
    for edge in allowed.iter().filter(|edge| !ours.iter().any(|ours| ours == *edge)) {
        found.push(format!("{name} is listed to depend on {edge}, and does not"));
    }
    Ok(())
}

fn check_file(file: &Path, found: &mut Vec<String>) -> Outcome {
    let text = read(file)?;
    let path = file.strip_prefix(root()).unwrap_or(file);
    let shown = path.display();
    if !text.starts_with("//! ") {
        found.push(format!("{shown}: does not open with a `//!` sentence"));
    }
    let allows = text.contains(concat!("unsafe", "_code"));
    if allows && !UNSAFE.iter().any(|known| Path::new(known) == path) {
        found.push(format!(
            "{shown}: speaks of `unsafe` code, and is not listed in xtask/src/tidy.rs"
        ));
    }
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        found.push(format!("{shown}: {lines} lines; split it by subject"));
    }
    Ok(())
}

fn check_tests_are_included(member: &Path, found: &mut Vec<String>) -> Outcome {
    let folder = member.join("tests/it");
    if !folder.is_dir() {
        return Ok(());
    }
    let main = read(&folder.join("main.rs"))?;
    let included: BTreeSet<&str> =
        main.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    for file in entries(&folder)? {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_module = file.is_dir() || file.extension().is_some_and(|ending| ending == "rs");
        if is_module && stem != "main" && stem != "snapshots" && !included.contains(stem.as_str()) {
            found.push(format!("{}: nobody includes it", file.display()));
        }
    }
    Ok(())
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error| format!("{}: {error}", folder.display());
    let mut paths = fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(unreadable))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
