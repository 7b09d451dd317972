//! Runs jobs in the background (R33).
//!
//! [`Workers`] take jobs from the [queue](armor_core::job::JobQueue), any number of processes at
//! the same time, and give each to the [handler](armor_core::job::Handler) of its kind:
//!
//! - those of one key one after the other, in order; else the highest priority first;
//! - one that fails again after a while, which grows ([`RetryPolicy`]), until it has failed too
//!   often and is dead: it stays in the queue until somebody retries or purges it;
//! - one whose process dies is taken up by another as soon as its time has run out.

mod retry;
mod worker;
mod workers;

pub use retry::RetryPolicy;
pub use workers::{WorkerSettings, Workers};
