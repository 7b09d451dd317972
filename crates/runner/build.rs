//! Builds the runner, linked statically, so that it can be carried along: a sandbox's image may have
//! none of the libraries that this program uses. Where it cannot be built (another system than Linux
//! with glibc), an empty file takes its place.

#![allow(clippy::disallowed_methods, reason = "cargo speaks to build scripts by variables")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What goes into the runner, from this folder.
const SOURCES: [&str; 5] = [
    "../../bins/sandbox-runner",
    "../runner-protocol",
    "../output",
    "../../Cargo.toml",
    "../../Cargo.lock",
];
const PROFILE: &str = "sandbox-runner";
const PROGRAM: &str = "armor-sandbox-runner";

fn main() -> Result<(), Box<dyn Error>> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let target = std::env::var("TARGET")?;
    let runner = out.join("runner");
    if target.ends_with("-linux-gnu") {
        std::fs::copy(build(&out.join("target"), &target)?, runner)?;
    } else {
        std::fs::write(runner, [])?;
    }
    Ok(())
}

/// Another cargo, with a folder of its own, since flags for linking statically are for this program
/// alone.
fn build(folder: &Path, target: &str) -> Result<PathBuf, Box<dyn Error>> {
    let done = Command::new(std::env::var("CARGO")?)
        .args(["build", "--locked", "--package", PROGRAM, "--profile", PROFILE])
        .args(["--target", target, "--target-dir"])
        .arg(folder)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        // Those of a linter or of a coverage run are not for it.
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_TARGET_DIR")
        .status()?;
    if !done.success() {
        return Err("the runner could not be built; cargo says why above".into());
    }
    Ok(folder.join(target).join(PROFILE).join(PROGRAM))
}
