//! `armor` as a person and as a program sees it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod auto_checkpoints;
mod backups;
mod bad_input;
mod checkpoints;
mod developer;
mod engines;
mod events;
mod executions;
mod help;
mod input;
mod jobs;
mod network;
mod ordinary_user;
mod output;
mod prune;
mod recover;
mod settings;
mod support;
mod tasks;
mod terminal;
