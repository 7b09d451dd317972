//! A job, from being taken up to what becomes of it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use armor_core::error::chain;
use armor_core::event::{Fault, SystemEvent};
use armor_core::job::{Claim, Handler, Job, JobQueue, QueueError};
use armor_core::time::Clock;
use futures_util::FutureExt;

use crate::WorkerSettings;
use crate::workers::Stop;

/// What all workers of a process share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) handlers: Vec<Arc<dyn Handler>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: WorkerSettings,
    pub(crate) stop: Stop,
}

/// How a try went.
enum Try {
    Done,
    Failed {
        reason: String,
        /// Whether the job itself is to blame.
        strike: bool,
    },
    /// We are told to end.
    Left,
    /// It took so long to ask for more time that somebody else has the job.
    Lost,
}

impl Worker {
    #[tracing::instrument(skip_all, fields(job = %claim.job.id, kind = claim.job.kind))]
    pub(crate) async fn work(&self, claim: Claim) {
        let went = self.attempt(&claim).await;
        let noted = match self.note(&claim, went).await {
            Ok(noted) => noted,
            Err(error) => {
                tracing::error!(cause = chain(&error), "the job will be done again");
                return;
            }
        };
        if !noted {
            tracing::warn!("the job took too long, and somebody else has taken it up");
        }
    }

    async fn attempt(&self, claim: &Claim) -> Try {
        let job = &claim.job;
        let Some(handler) = self.handlers.iter().find(|handler| handler.kind() == job.kind) else {
            // Only jobs of our handlers' kinds are taken up.
            return Try::Left;
        };
        if job.strikes > self.settings.retry.strikes {
            let reason = "each process that tried it died".to_owned();
            return Try::Failed { reason, strike: true };
        }
        let running = AssertUnwindSafe(handler.run(job)).catch_unwind();
        tokio::select! {
            ended = tokio::time::timeout(handler.limit(), running) => match ended {
                Ok(Ok(Ok(()))) => Try::Done,
                Ok(Ok(Err(error))) => {
                    Try::Failed { reason: chain(&error), strike: error.fault == Fault::Event }
                }
                Ok(Err(panic)) => Try::Failed { reason: message(panic.as_ref()), strike: true },
                Err(_) => {
                    let limit = handler.limit().as_secs_f32();
                    Try::Failed { reason: format!("it took longer than {limit} s"), strike: true }
                }
            },
            () = self.hold(claim) => Try::Lost,
            () = self.stop.working.cancelled() => Try::Left,
        }
    }

    /// Asks for more time, again and again, until somebody else has the job.
    async fn hold(&self, claim: &Claim) {
        let hold = self.settings.hold;
        loop {
            tokio::time::sleep(hold / 3).await;
            match self.queue.extend(claim, hold).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(cause = chain(&error), "asking for time again"),
            }
        }
    }

    /// Notes what became of a try. False when somebody else has the job.
    async fn note(&self, claim: &Claim, went: Try) -> Result<bool, QueueError> {
        let (queue, job, now) = (&self.queue, &claim.job, self.clock.now());
        match went {
            Try::Done => queue.finish(claim).await,
            Try::Left => queue.put_back(claim, now, None, false).await,
            Try::Lost => Ok(false),
            Try::Failed { reason, strike } if strike && self.is_out(job) => {
                tracing::error!(reason, "given up: `armor jobs list` shows it");
                let fact = SystemEvent::JobGivenUp {
                    job: job.id,
                    kind: job.kind.clone(),
                    key: job.key.clone(),
                    tries: job.tries,
                    reason: reason.clone(),
                };
                queue.give_up(claim, &reason, fact).await
            }
            Try::Failed { reason, strike } => {
                tracing::info!(reason, tries = job.tries, "will be tried again");
                let pause = self.settings.retry.pause(job.tries, fastrand::f64());
                queue.put_back(claim, now.plus(pause), Some(&reason), strike).await
            }
        }
    }

    /// Whether the strike that a job was given when it was taken up is its last.
    fn is_out(&self, job: &Job) -> bool {
        job.strikes >= self.settings.retry.strikes
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a word"))
}
