//! Repositories and working copies, with the real git program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod import;
mod rename;
mod source;
mod support;
mod working_copy;
