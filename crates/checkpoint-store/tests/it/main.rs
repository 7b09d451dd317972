//! Checkpoints of real trees: exact, incremental, whole or not there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod collect;
mod damage;
mod incremental;
mod plot;
mod replace;
mod round_trip;
mod support;
