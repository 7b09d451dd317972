//! Checkpoints of real trees: exact, incremental, whole or not there.

mod damage;
mod incremental;
mod plot;
mod replace;
mod round_trip;
mod support;
