//! The runner as the first process of a real container, driven as a host drives it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod facts;
mod output;
mod signals;
mod support;
mod terminal;
mod trust;
