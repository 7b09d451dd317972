//! Jobs in a real registry.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failures;
mod order;
mod support;
mod takeover;
