//! The escape suite (R97): what is known to get out of a container, tried from inside a default
//! sandbox, as a command that an agent could run. None may succeed.
//!
//! A [`Case`] prints [`REACHED`] where it succeeds, and says that it was tried where it does not: what was
//! not tried is [no success of ours](Verdict::NotTried). [`run`] tries all of them in sandboxes of
//! Armor's, [`run_unconfined`] tries those that can in a container from which everything that keeps them
//! has been taken away: a case that does not succeed there would prove nothing here.

mod case;
mod cases;
mod console;
mod host;
mod neighbour;
mod place;
mod services;
mod unconfined;
mod verdict;

pub use case::{Area, Attempt, Case, Ending, REACHED};
pub use cases::all;
pub use place::run;
pub use unconfined::run_unconfined;
pub use verdict::{Trial, Verdict};

/// What kept the suite from being run.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
