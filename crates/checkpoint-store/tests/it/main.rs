//! Checkpoints of real trees: exact, incremental, whole or not there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod collect;
mod damage;
mod full_disk;
mod hostile;
mod incremental;
mod plot;
mod raw;
mod replace;
mod round_trip;
mod rules;
mod rules_in_place;
mod support;
