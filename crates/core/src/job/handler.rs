//! Who does jobs.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Diagnostic;
use crate::event::Fault;
use crate::job::{Job, JobKind};

/// Why a job could not be done.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}")]
pub struct JobError {
    /// What was tried, as a verb with its object.
    pub action: String,
    /// What is to blame: the job itself, of which only so many failures are put up with, or its
    /// surroundings, which pass.
    pub fault: Fault,
    /// Why it failed.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl JobError {
    /// A failure underneath, whose code says what is to blame.
    pub fn new(action: impl Into<String>, source: impl Diagnostic + Send + Sync + 'static) -> Self {
        let fault = Fault::of(source.code());
        Self { action: action.into(), fault, source: Box::new(source) }
    }
}

/// Does the jobs of one kind.
///
/// A job is done at least once: a process may die behind its last step and before it is noted.
/// Doing it twice must do no harm.
#[async_trait]
pub trait Handler: Send + Sync + std::fmt::Debug {
    /// What it does.
    fn kind(&self) -> JobKind;

    /// How long a job may take. One that takes longer is dropped where it stands, and has failed.
    fn limit(&self) -> Duration;

    /// Does a job. When it returns well, what it did is durable.
    async fn run(&self, job: &Job) -> Result<(), JobError>;
}
