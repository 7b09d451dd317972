//! A queue in a folder of its own, and a handler that does what a test wants.

use std::sync::Arc;
use std::time::Duration;

use armor_core::config::Durability;
use armor_core::error::{Code, Diagnostic};
use armor_core::event::Fault;
use armor_core::id::{IdSource, RandomIds};
use armor_core::job::{Handler, Job, JobError, JobKind, NewJob, Priority};
use armor_core::time::{Clock, SystemClock};
use armor_jobs::{RetryPolicy, WorkerSettings, Workers};
use armor_registry::{Registry, SqliteRegistry};
use async_trait::async_trait;
use serde_json::json;
use tokio::sync::mpsc;

/// How long a test waits for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Registry> {
        let database = self.folder.path().join("armor.db");
        let ids = Arc::new(RandomIds::default());
        let clock = Arc::new(SystemClock);
        Arc::new(SqliteRegistry::open(&database, Durability::Full, clock, ids).await.unwrap())
    }
}

/// A job about `key`, with an event of its own as its cause.
pub(crate) fn job(key: &str) -> NewJob {
    NewJob {
        kind: "errand",
        key: key.to_owned(),
        priority: Priority::Normal,
        payload: json!({}),
        cause: RandomIds::default().event_id(SystemClock.now()),
    }
}

pub(crate) fn settings(count: usize) -> WorkerSettings {
    WorkerSettings {
        count,
        hold: Duration::from_secs(20),
        retry: RetryPolicy {
            first: Duration::from_millis(2),
            longest: Duration::from_millis(20),
            strikes: 3,
        },
        owner: "a test".to_owned(),
    }
}

/// Told of each job that is begun; the answer says how it goes.
pub(crate) type Begun = (Job, tokio::sync::oneshot::Sender<Result<(), Fault>>);

/// Asks the test how each job goes.
#[derive(Debug)]
pub(crate) struct Errands {
    begun: mpsc::UnboundedSender<Begun>,
    limit: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("the test says so")]
struct AsTold;

impl Diagnostic for AsTold {
    fn code(&self) -> Code {
        Code::Internal
    }
}

#[async_trait]
impl Handler for Errands {
    fn kind(&self) -> JobKind {
        "errand"
    }

    fn limit(&self) -> Duration {
        self.limit
    }

    async fn run(&self, job: &Job) -> Result<(), JobError> {
        let (answer, told) = tokio::sync::oneshot::channel();
        self.begun.send((job.clone(), answer)).unwrap();
        // An answer that is dropped is a panic.
        let fault = match told.await.unwrap() {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        Err(JobError { action: "run an errand".to_owned(), fault, source: Box::new(AsTold) })
    }
}

/// Workers whose jobs go as the test says.
pub(crate) struct Office {
    pub(crate) workers: Workers,
    begun: mpsc::UnboundedReceiver<Begun>,
}

impl Office {
    pub(crate) fn open(registry: &Arc<dyn Registry>, settings: WorkerSettings) -> Self {
        Self::with_limit(registry, settings, PATIENCE)
    }

    pub(crate) fn with_limit(
        registry: &Arc<dyn Registry>,
        settings: WorkerSettings,
        limit: Duration,
    ) -> Self {
        let (tell, begun) = mpsc::unbounded_channel();
        let handlers: Vec<Arc<dyn Handler>> = vec![Arc::new(Errands { begun: tell, limit })];
        let clock = Arc::new(SystemClock);
        Self { workers: Workers::start(registry.clone(), handlers, clock, settings), begun }
    }

    /// Waits for the next job that is begun.
    pub(crate) async fn next(&mut self) -> Begun {
        tokio::time::timeout(PATIENCE, self.begun.recv()).await.unwrap().unwrap()
    }

    /// Whether a job is begun at this moment.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.begun.try_recv().is_err()
    }
}
