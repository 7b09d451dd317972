//! What the tests share.
//!
//! - [`engine`]: the real engine, the tests' image on it, and what belongs to a home there.
//! - [`PrivateEngine`]: an engine that a test may stop, kill and start again.
//! - [`Home`]: a temporary home with an environment of its own, which leaves nothing behind.
//! - [`OrdinaryUser`]: somebody who is not root, with a home of a test's.
//! - [`Repository`]: a user's repository.
//! - [`serve_files`], [`serve_files_tls`]: servers on this machine that sandboxes may reach.
//! - [`McpClient`]: a client of our own for tests that need no independent one.
//!
//! Tests that need the engine begin with [`require_engine!`]: without an engine they are skipped,
//! loudly, except where `cargo xtask test` says that they must not be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, and a skipped one says so"
)]

use std::io::Write;

mod certificates;
pub mod engine;
mod file_server;
mod home;
mod host;
mod mcp;
mod ordinary_user;
mod private_engine;
mod repository;
mod ssh_server;
mod tls;

pub use certificates::write_certificates;
pub use file_server::{serve_files, serve_files_tls};
pub use home::Home;
pub use host::host_addresses;
pub use mcp::{McpClient, Protocol};
pub use ordinary_user::OrdinaryUser;
pub use private_engine::{EngineProgram, FIRST_USER, PrivateEngine};
pub use repository::{Repository, git};
pub use ssh_server::SshServer;
pub use tls::client_hello;

/// Ends a test early, loudly, when there is no engine.
#[macro_export]
macro_rules! require_engine {
    () => {
        if !$crate::engine::is_there().await {
            return;
        }
    };
}

/// Ends a test early, loudly, where it cannot have an engine of its own: `Dockerd` or `Podman`.
#[macro_export]
macro_rules! require_private_engine {
    ($program:ident) => {
        if !$crate::EngineProgram::$program.is_there() || !$crate::engine::is_there().await {
            return;
        }
    };
}

/// A variable that `cargo xtask test` sets for the tests.
#[allow(clippy::disallowed_methods, reason = "the tests' own edge")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The Python with the independent MCP client, which `cargo xtask test` makes.
pub fn python() -> Option<String> {
    let python = variable("TESTKIT_PYTHON");
    if python.is_none() {
        skipped("no Python with the MCP client; `cargo xtask test` makes one");
    }
    python
}

/// Says that a test is skipped, or fails it where none may be.
pub(crate) fn skipped(why: &str) {
    assert!(variable("TESTKIT_SKIP_NOTHING").is_none(), "{why}");
    skipped_here(why);
}

/// Says that a test is skipped for want of a program, which `cargo xtask test` did not install.
pub(crate) fn program_is_missing(name: &str) {
    let why = format!("the program {name} is missing");
    if variable("TESTKIT_FEWER_PROGRAMS").is_some() {
        skipped_here(&why);
    } else {
        skipped(&why);
    }
}

/// Says that a test is skipped where it is not expected to run.
pub(crate) fn skipped_here(why: &str) {
    // Past the capture of a test's output, which hides what a test that passes says.
    let _said = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
