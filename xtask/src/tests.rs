//! `cargo xtask test`: all tests of the workspace, none of them skipped.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::process::{self, Outcome, cargo};
use crate::{images, tools};

const NO_ENGINE: &str = "\
no container engine answers, and the tests need one.
  Install and start Docker Engine (on Debian: `apt-get install docker.io`, then
  `systemctl start docker`), or set DOCKER_HOST to an engine that runs.
  Without one, `cargo test --workspace` runs the tests that need none.";

pub(crate) fn run(filter: &[&str]) -> Outcome {
    if !engine_answers() {
        return Err(NO_ENGINE.to_owned());
    }
    let python = tools::python_with_mcp()?;
    let has_programs = tools::programs()?;
    // First, so that no test waits for it.
    images::ensure()?;
    let mut tests = cargo();
    if !has_programs {
        tests.env("TESTKIT_FEWER_PROGRAMS", "1");
    }
    process::run(
        tests
            .args(["test", "--workspace", "--locked"])
            .args(filter)
            .env("TESTKIT_PYTHON", python)
            .env("TESTKIT_SKIP_NOTHING", "1")
            // A failed test says what it saw; a backtrace of an async test buries that.
            .env("RUST_BACKTRACE", "0"),
    )
}

/// Whether somebody listens where the engine is expected. What it is shows later.
fn engine_answers() -> bool {
    #[allow(clippy::disallowed_methods, reason = "xtask is the edge of its own program")]
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    match host.as_deref().map(|host| host.split_once("://").unwrap_or(("unix", host))) {
        None => UnixStream::connect("/var/run/docker.sock").is_ok(),
        Some(("unix", path)) => UnixStream::connect(PathBuf::from(path)).is_ok(),
        Some((_, address)) => TcpStream::connect(address).is_ok(),
    }
}
