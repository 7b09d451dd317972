//! The layers of a task's folder, on real files, fed by a real registry.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod decisions;
mod state;
mod support;
mod trash;
