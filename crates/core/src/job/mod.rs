//! Jobs: work that is done in the background, until it is done (R33).
//!
//! A job follows from an event: a consumer of the log keeps it in the [`JobQueue`], once however
//! often it is given the event. Any process that has the home open may take it up; one whose
//! process dies is taken up again by another.

mod handler;
mod queue;

pub use handler::{Handler, JobError};
pub use queue::{Claim, JobCounts, JobQueue, QueueError};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Code, Diagnostic};
use crate::id::EventId;
use crate::time::Timestamp;

/// What kind of work a job is: names its handler. Never changed once released.
pub type JobKind = &'static str;

/// Names a job: 1, 2, 3, … in the order in which they were kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// A text that names no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names no job", .0.escape_debug())]
pub struct InvalidJobId(String);

impl Diagnostic for InvalidJobId {
    fn code(&self) -> Code {
        Code::IdInvalid
    }

    fn next_step(&self) -> Option<String> {
        Some("Use a number that `armor jobs list` shows.".to_owned())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        let id = text.parse().ok().map(Self).filter(|id| id.to_string() == text);
        id.ok_or_else(|| InvalidJobId(text.to_owned()))
    }
}

/// Which jobs are taken up first, of those that are due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// When nothing else is due.
    Low,
    /// In the order in which they were kept.
    #[default]
    Normal,
    /// Before all others: somebody waits for it.
    High,
}

impl Priority {
    /// Every priority, the lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];
}

/// A job that is to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// What kind of work it is.
    pub kind: JobKind,
    /// What it is about. The jobs of one key are done one after the other, in order.
    pub key: String,
    /// Whether it goes before others.
    pub priority: Priority,
    /// What its handler has to know.
    pub payload: Value,
    /// The event that it follows from. An event has one job of a kind.
    pub cause: EventId,
}

/// A job in the queue. One that is done is no more there.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// What kind of work it is.
    pub kind: String,
    /// What it is about.
    pub key: String,
    /// Whether it goes before others.
    pub priority: Priority,
    /// What its handler has to know.
    pub payload: Value,
    /// The event that it follows from.
    pub cause: EventId,
    /// When it was kept.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: JobState,
    /// How often it was begun.
    pub tries: u32,
    /// How often it failed and was itself to blame, or took its process along.
    pub strikes: u32,
    /// Why it failed the last time.
    pub error: Option<String>,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// It waits to be taken up.
    Waiting {
        /// Not before this moment.
        due: Timestamp,
    },
    /// A worker is at it.
    Running {
        /// The worker's process.
        owner: String,
        /// Until when nobody else takes it up, unless the worker asks for more time.
        until: Timestamp,
    },
    /// It failed too often, and stays until somebody retries or purges it.
    Dead,
}

impl Job {
    /// Whether something is about to happen to it: it runs, or waits for its first try.
    pub const fn is_busy(&self) -> bool {
        match self.state {
            JobState::Running { .. } => true,
            JobState::Waiting { .. } => self.tries == 0,
            JobState::Dead => false,
        }
    }
}

impl JobState {
    /// The state's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Running { .. } => "running",
            Self::Dead => "dead",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_job_is_read_back_and_anything_else_refused() {
        assert_eq!("17".parse(), Ok(JobId(17)));
        for text in ["", "+1", "01", "-1", "x", "99999999999999999999"] {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
    }
}
