//! The registry on real database files, seen from outside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backups;
mod checkpoints;
mod concurrency;
mod executions;
mod find;
mod groups;
mod jobs;
mod leases;
mod migrations;
mod model;
mod opening;
mod restore;
mod schema;
mod spine;
mod support;
mod tasks;
