//! The escape suite (R97): what is known to get out of a container, tried from inside a default
//! sandbox, as a command that an agent could run. None may succeed.
//!
//! A [`Case`] prints [`REACHED`] where it succeeds. [`run`] tries all of them in sandboxes of Armor's,
//! [`run_unconfined`] tries those that can in a container from which everything that keeps them has
//! been taken away: a case that does not succeed there would prove nothing here.

mod case;
mod cases;
mod place;
mod unconfined;

pub use case::{Area, Attempt, Case, REACHED, Verdict};
pub use cases::all;
pub use place::run;
pub use unconfined::run_unconfined;

/// What kept the suite from being run.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
