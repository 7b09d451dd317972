//! The composed system through the facade, on the real engine and real git.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ends;
mod engines;
mod git;
mod hooks;
mod limits;
mod monitor;
mod orphans;
mod pool;
mod sandbox;
mod support;
mod workspaces;
