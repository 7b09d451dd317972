//! Following a real registry's log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bus;
mod consumers;
mod follow;
mod support;
