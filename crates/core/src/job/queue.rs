//! The queue as consumers and workers see it.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::error::{Code, Diagnostic};
use crate::event::SystemEvent;
use crate::job::{Job, JobId, JobKind, NewJob};
use crate::time::Timestamp;

/// The queue could not do what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// There is no such job.
    #[error("there is no job {0}; one that is done is no more in the queue")]
    NotFound(JobId),
    /// The job's state does not allow it.
    #[error("job {job} is {state}")]
    State {
        /// Which job.
        job: JobId,
        /// Where it stands.
        state: &'static str,
    },
    /// It could not be read or written.
    #[error("the job queue could not {action}")]
    Failed {
        /// What was tried, as a verb with its object.
        action: &'static str,
        /// The code of the failure underneath.
        code: Code,
        /// The failure underneath.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Diagnostic for QueueError {
    fn code(&self) -> Code {
        match self {
            Self::NotFound(_) => Code::JobNotFound,
            Self::State { .. } => Code::JobState,
            Self::Failed { code, .. } => *code,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::NotFound(_) => Some("`armor jobs list` shows those there are.".to_owned()),
            Self::State { state: "running", .. } => {
                Some("Wait until it is done, or has failed.".to_owned())
            }
            Self::State { .. } => Some("Only a dead job is purged.".to_owned()),
            Self::Failed { .. } => None,
        }
    }
}

/// How many jobs there are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Those that wait.
    pub waiting: u64,
    /// Those that run.
    pub running: u64,
    /// Those that were given up.
    pub dead: u64,
}

/// A worker's hold on a job: what it says about the job counts only as long as nobody else has
/// taken it up.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// Rises each time that the job is taken up.
    pub token: u64,
}

/// Where jobs are kept, for all processes of a home.
#[async_trait]
pub trait JobQueue: Send + Sync + std::fmt::Debug {
    /// Keeps jobs, except those that their event has already.
    async fn enqueue(&self, jobs: &[NewJob]) -> Result<(), QueueError>;

    /// Takes up the next job of these kinds that is due, for so long: one that waits, or one whose
    /// worker let its time run out. The first of its key, of the highest priority, the oldest.
    async fn claim(
        &self,
        kinds: &[JobKind],
        owner: &str,
        time: Duration,
    ) -> Result<Option<Claim>, QueueError>;

    /// Asks for so much time from now. False when somebody else has the job.
    async fn extend(&self, claim: &Claim, time: Duration) -> Result<bool, QueueError>;

    /// Notes that a job is done. False when somebody else has it.
    async fn finish(&self, claim: &Claim) -> Result<bool, QueueError>;

    /// Puts a job back that failed, or was left, to be taken up again at `due`. `strike` says
    /// whether it is to blame. False when somebody else has it.
    async fn put_back(
        &self,
        claim: &Claim,
        due: Timestamp,
        error: Option<&str>,
        strike: bool,
    ) -> Result<bool, QueueError>;

    /// Gives a job up, together with the fact. False when somebody else has it.
    async fn give_up(
        &self,
        claim: &Claim,
        error: &str,
        fact: SystemEvent,
    ) -> Result<bool, QueueError>;

    /// When the next job of these kinds may be taken up; none when there is none.
    async fn next_due(&self, kinds: &[JobKind]) -> Result<Option<Timestamp>, QueueError>;

    /// The job of this key that comes first, of those that are not dead.
    async fn first_of(&self, key: &str) -> Result<Option<Job>, QueueError>;

    /// The jobs in the queue, dead ones too, the oldest first.
    async fn jobs(&self, limit: u32) -> Result<Vec<Job>, QueueError>;

    /// How many jobs there are in each state.
    async fn counts(&self) -> Result<JobCounts, QueueError>;

    /// One job.
    ///
    /// # Errors
    /// [`QueueError::NotFound`]
    async fn job(&self, id: JobId) -> Result<Job, QueueError>;

    /// Makes a job due now, with all its tries before it; a dead one too.
    ///
    /// # Errors
    /// [`QueueError::NotFound`]; [`QueueError::State`] when it runs.
    async fn retry(&self, id: JobId) -> Result<Job, QueueError>;

    /// Removes a dead job.
    ///
    /// # Errors
    /// [`QueueError::NotFound`]; [`QueueError::State`] when it is not dead.
    async fn purge(&self, id: JobId) -> Result<(), QueueError>;

    /// Changes with every change of the queue, also by another process.
    fn stirred(&self) -> watch::Receiver<u64>;
}
