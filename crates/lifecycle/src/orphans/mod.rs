//! Orphans: what there is of tasks that do not need it. They are found, told of, and removed when they
//! are due.
//!
//! Mostly a killed process left them: what a task's end or deletion leaves is the janitor's to remove.
//! Of a task that the registry does not know, and which it has not deleted, it is not sure that nobody
//! wants it: the database may have been replaced by a backup. So its sandbox goes only after a time of
//! grace, and its files, from which the task can be made again, only when a person says so.

mod find;
mod sweep;

use std::time::Duration;

use armor_core::id::TaskId;
use armor_core::sandbox::{Belonging, OrphanCause};
use armor_core::time::Timestamp;

pub use sweep::Swept;

/// What there is of one task that does not need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The task.
    pub task: TaskId,
    /// Why it does not need it.
    pub cause: OrphanCause,
    /// What there is.
    pub belongings: Vec<Belonging>,
    /// When it is removed.
    pub due: Due,
}

/// When an orphan is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// By the next sweep.
    Now,
    /// By the first sweep from this moment on.
    From(Timestamp),
    /// By nobody but a person.
    ByHand,
}

impl Due {
    /// When something goes that nobody needs for this reason, and that was found at a moment.
    fn of(cause: OrphanCause, belongings: &[Belonging], found: Timestamp, grace: Duration) -> Self {
        match cause {
            OrphanCause::Ended | OrphanCause::Deleted => Self::Now,
            OrphanCause::Unknown if is_files(belongings) => Self::ByHand,
            OrphanCause::Unknown => Self::From(found.plus(grace)),
        }
    }

    /// Whether a sweep at this moment removes it.
    pub fn has_come(self, now: Timestamp) -> bool {
        match self {
            Self::Now => true,
            Self::From(moment) => moment <= now,
            Self::ByHand => false,
        }
    }
}

/// Files are an orphan of their own.
fn is_files(belongings: &[Belonging]) -> bool {
    belongings.contains(&Belonging::Files)
}
