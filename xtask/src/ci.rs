//! `cargo xtask ci`: everything that a change has to pass.

use crate::process::{self, Outcome, cargo};
use crate::{tests, tidy, tools};

pub(crate) fn run() -> Outcome {
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
    tidy::run()?;
    process::run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    // Advisories are left out: they need a database from the network, which CI lacks.
    let mut deny = tools::cargo_deny()?;
    process::run(deny.args(["check", "bans", "licenses", "sources"]))?;
    tests::run(&[])?;
    process::run(cargo().env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--workspace",
        "--no-deps",
        "--locked",
    ]))
}
