//! Checkpoints that nobody asks for: when a task starts and ends, and before commands that may lose much
//! (R27, R42).
//!
//! What goes wrong with one is logged, and keeps nobody from what they wanted to do. A command that is
//! harmless by itself costs nothing but to read it: nothing is looked up for it.

use std::sync::Arc;

use armor_checkpoint_store::Manifest;
use armor_core::checkpoint::{Checkpoint, CheckpointCause, Consistency};
use armor_core::execution::{CommandLine, Execution, ExecutionStatus};
use armor_core::file_lock::FileLock;
use armor_core::risk::{Assessment, Circumstances, Decision, Risk};
use armor_core::task::{Folder, Task, TaskStatus};
use armor_core::time::Timestamp;

use super::take::{Because, TakeCheckpoint};
use crate::{Lifecycle, LifecycleError};

/// How many of a task's newest executions are looked at for what ran since its last checkpoint.
const LOOKED_AT: u32 = 200;
/// How many decisions are told of.
const TOLD: usize = 10;

/// What is done before a command, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What is thought of the command.
    pub assessment: Assessment,
    /// Whether a checkpoint is taken.
    pub decision: Decision,
    /// Whether the sandbox stands still meanwhile.
    pub pauses: bool,
}

/// How things stand with a task.
struct Situation {
    circumstances: Circumstances,
    /// Whether a command runs.
    is_busy: bool,
}

impl Lifecycle {
    /// Takes a checkpoint before a command if it is risky now.
    pub(crate) async fn checkpoint_before(&self, task: &Task, command: &CommandLine) {
        if self.why_not(task).is_some() {
            return;
        }
        let risk = Risk::of_command(command);
        if !risk.can_reach(self.settings.checkpoint.risk_threshold) {
            return;
        }
        // Seldom needed, and large: not part of every command.
        let taking = Box::pin(self.checkpoint_if_due(task, risk));
        told(task, CheckpointCause::BeforeRisk, taking.await);
    }

    async fn checkpoint_if_due(&self, task: &Task, risk: Risk) -> Result<(), LifecycleError> {
        let Explanation { assessment, decision, pauses } = self.weigh(task, risk).await?;
        if decision == Decision::Due {
            let because =
                Because { cause: CheckpointCause::BeforeRisk, risk: Some(assessment), pauses };
            self.checkpoint_because(task.id.as_str(), TakeCheckpoint::default(), because).await?;
        }
        Ok(())
    }

    /// Takes a checkpoint at a change of the task, for whoever holds its lock.
    pub(crate) async fn checkpoint_at(
        &self,
        task: &Task,
        lock: &Arc<FileLock>,
        cause: CheckpointCause,
    ) {
        if self.why_not(task).is_some() {
            return;
        }
        let (lifecycle, id, held) = (self.clone(), task.id.clone(), Arc::clone(lock));
        // The lock has to be held as long as the work lasts, also when nobody waits for it any more.
        let taking = tokio::spawn(async move {
            let _held = held;
            lifecycle.finish_restoration(&id).await?;
            let task = lifecycle.parts.registry.get(&id).await?;
            lifecycle.take_still(&task, TakeCheckpoint::default(), cause.into()).await?;
            lifecycle.retain_some(&id).await;
            Ok(())
        });
        let taken = taking.await.map_err(|_| LifecycleError::Broken("taking a checkpoint"));
        told(task, cause, taken.flatten());
    }

    /// The same at its end, if it has begun.
    pub(crate) async fn checkpoint_at_end(
        &self,
        task: &Task,
        lock: &Arc<FileLock>,
        cause: CheckpointCause,
    ) {
        if task.status == TaskStatus::Running {
            self.checkpoint_at(task, lock, cause).await;
        }
    }

    /// What would be done if this command were to run in the task now.
    ///
    /// # Errors
    /// When there is no such task, or the registry cannot be read.
    pub async fn explain_risk(
        &self,
        reference: &str,
        command: &CommandLine,
    ) -> Result<Explanation, LifecycleError> {
        let task = self.resolve(reference).await?;
        self.weigh(&task, Risk::of_command(command)).await
    }

    /// The task's newest checkpoints that were taken before risky commands, the oldest first.
    ///
    /// # Errors
    /// When there is no such task, or a manifest is damaged.
    pub async fn risky_moments(
        &self,
        reference: &str,
    ) -> Result<Vec<(Checkpoint, Manifest)>, LifecycleError> {
        let task = self.resolve(reference).await?;
        let mut found = self.parts.registry.checkpoints(Some(&task.id)).await?;
        found.retain(|one| one.cause == CheckpointCause::BeforeRisk);
        found.drain(..found.len().saturating_sub(TOLD));
        let mut moments = Vec::new();
        for checkpoint in found {
            let (task, id) = (checkpoint.task.clone(), checkpoint.id.clone());
            let manifest = self.with_store(move |store| store.get(&task, &id)).await?;
            moments.push((checkpoint, manifest));
        }
        Ok(moments)
    }

    /// Why no checkpoint of the task is taken by itself, if none is.
    fn why_not(&self, task: &Task) -> Option<Decision> {
        if !self.settings.checkpoint.automatic {
            return Some(Decision::SwitchedOff);
        }
        // It may be as large as a disk, and has its own ways of being kept.
        matches!(task.sandbox.folder, Some(Folder::Bind { .. })).then_some(Decision::UsersOwnFolder)
    }

    async fn weigh(&self, task: &Task, risk: Risk) -> Result<Explanation, LifecycleError> {
        let Situation { circumstances, is_busy } = self.situation(task).await?;
        let threshold = self.settings.checkpoint.risk_threshold;
        let assessment = Assessment::new(risk.under(&circumstances), threshold);
        let decision = match self.why_not(task) {
            Some(why_not) => why_not,
            None if !assessment.is_risky() => Decision::BelowThreshold,
            None if circumstances.since.is_some() && circumstances.commands == 0 => {
                Decision::NothingSince
            }
            None => Decision::Due,
        };
        let pauses = match self.settings.checkpoint.consistency {
            Consistency::Live => false,
            Consistency::Pause => true,
            Consistency::Risk => is_busy && assessment.is_risky(),
        };
        Ok(Explanation { assessment, decision, pauses })
    }

    async fn situation(&self, task: &Task) -> Result<Situation, LifecycleError> {
        let registry = &self.parts.registry;
        let checkpoints = registry.checkpoints(Some(&task.id)).await?;
        let executions = registry.executions(&task.id, LOOKED_AT).await?;
        let mut running = registry.running_executions().await?;
        running.retain(|execution| execution.task == task.id);
        // One that began long ago.
        running.retain(|one| executions.iter().all(|newer| newer.id != one.id));
        let executions: Vec<_> = executions.into_iter().chain(running).collect();
        Ok(Situation::of(&checkpoints, &executions, self.now()))
    }
}

impl Situation {
    /// With these checkpoints, the oldest first, and these executions, the newest first.
    fn of(checkpoints: &[Checkpoint], executions: &[Execution], now: Timestamp) -> Self {
        // An imported one is of other files; one of the future is of a clock that went back.
        let is_of_its_files =
            |one: &&Checkpoint| one.cause != CheckpointCause::Imported && one.created_at <= now;
        let last = checkpoints.iter().rev().find(is_of_its_files).map(|one| one.created_at);
        let since = executions.iter().filter(|one| last.is_none_or(|last| is_behind(one, last)));
        let newest = executions.iter().take(Circumstances::LOOKED_AT);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let circumstances = Circumstances {
            since: last.map(|last| now.since(last)),
            commands: count(since.count()),
            failures: count(newest.filter(|one| failed(one)).count()),
        };
        Self { circumstances, is_busy: executions.iter().any(|one| one.end.is_none()) }
    }
}

/// Whether an execution may have changed something behind that moment.
fn is_behind(execution: &Execution, moment: Timestamp) -> bool {
    execution.end.as_ref().is_none_or(|end| end.at >= moment)
}

fn failed(execution: &Execution) -> bool {
    match (execution.status(), execution.end.as_ref().and_then(|end| end.exit_code)) {
        (ExecutionStatus::Running | ExecutionStatus::Killed, _)
        | (ExecutionStatus::Exited, Some(0)) => false,
        (
            ExecutionStatus::Exited
            | ExecutionStatus::NotStarted
            | ExecutionStatus::TimedOut
            | ExecutionStatus::Interrupted,
            _,
        ) => true,
    }
}

/// Logs what went wrong.
fn told(task: &Task, cause: CheckpointCause, taken: Result<(), LifecycleError>) {
    if let Err(error) = taken {
        let reason = armor_core::error::chain(&error);
        tracing::warn!(task = %task.id, cause = cause.as_str(), reason, "no checkpoint was taken");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use armor_core::execution::ExecutionEnd;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn checkpoint(cause: CheckpointCause, seconds: i64) -> Checkpoint {
        Checkpoint {
            id: format!("c-{seconds}").parse().unwrap(),
            task: "t".parse().unwrap(),
            name: None,
            cause,
            parent: None,
            created_at: at(seconds),
            files: 0,
            bytes: 0,
            bytes_added: 0,
            left_out: 0,
            pinned: false,
        }
    }

    /// One that began then, and ended with that code at that time.
    fn execution(began: i64, end: Option<(i64, i32)>) -> Execution {
        Execution {
            id: format!("e-{began}").parse().unwrap(),
            task: "t".parse().unwrap(),
            agent: "a".parse().unwrap(),
            command: CommandLine::Shell("x".to_owned()),
            cwd: "/workspace".to_owned(),
            instance: "i".parse().unwrap(),
            started_at: at(began),
            end: end.map(|(ended, code)| ExecutionEnd {
                status: ExecutionStatus::Exited,
                exit_code: Some(code),
                at: at(ended),
                stdout_bytes: 0,
                stderr_bytes: 0,
                usage: None,
            }),
        }
    }

    fn commands(checkpoints: &[Checkpoint], executions: &[Execution]) -> u32 {
        Situation::of(checkpoints, executions, at(100)).circumstances.commands
    }

    #[test]
    fn what_ran_since_the_last_checkpoint_is_what_had_not_ended_by_then() {
        let asked = [checkpoint(CheckpointCause::Asked, 50)];
        assert_eq!(commands(&asked, &[]), 0);
        assert_eq!(commands(&asked, &[execution(40, Some((49, 0)))]), 0);
        let since =
            [execution(60, None), execution(55, Some((56, 0))), execution(10, Some((50, 0)))];
        assert_eq!(commands(&asked, &since), 3);
        assert_eq!(commands(&[], &since), 3);
    }

    #[test]
    fn one_of_other_files_or_of_the_future_is_not_the_last_one() {
        let ran = [execution(20, Some((30, 0)))];
        let asked = checkpoint(CheckpointCause::Asked, 10);
        for other in [
            checkpoint(CheckpointCause::Imported, 50),
            checkpoint(CheckpointCause::BeforeRisk, 101),
        ] {
            let checkpoints = [asked.clone(), other];
            assert_eq!(commands(&checkpoints, &ran), 1);
            let situation = Situation::of(&checkpoints, &ran, at(100));
            assert_eq!(situation.circumstances.since, Some(Duration::from_secs(90)));
        }
        assert_eq!(Situation::of(&[], &ran, at(100)).circumstances.since, None);
    }

    #[test]
    fn the_last_failures_count_and_one_that_runs_is_none() {
        let ran: Vec<_> = (0..20).map(|at| execution(at, Some((at, i32::from(at != 3))))).collect();
        let situation = Situation::of(&[], &ran, at(100));
        assert_eq!((situation.circumstances.failures, situation.is_busy), (9, false));
        let situation = Situation::of(&[], &[execution(1, None)], at(100));
        assert_eq!((situation.circumstances.failures, situation.is_busy), (0, true));
    }
}
