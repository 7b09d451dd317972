//! `armor-mcp` as its clients see it, on the real engine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod clients;
mod killed;
mod limits;
mod load;
mod many;
mod metrics;
mod pool;
mod support;
