//! The runtime on the real engine, seen from inside the sandbox and from outside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod egress;
mod hardening;
mod network;
mod refusals;
mod runners;
mod sandboxes;
mod support;
mod terminal;
