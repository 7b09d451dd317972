//! The registry as the layers above see it.

use std::path::Path;
use std::time::Duration;

use armor_core::checkpoint::{Checkpoint, Forgotten, ForkedFrom};
use armor_core::event::{Event, EventLog, EventPayload, SystemEvent};
use armor_core::execution::{Execution, ExecutionEnd};
use armor_core::id::{AgentId, CheckpointId, ExecutionId, HomeId, TaskId};
use armor_core::job::JobQueue;
use armor_core::task::{Change, Outcome, Task, TaskError, TaskStatus};
use armor_core::time::Timestamp;
use async_trait::async_trait;

use crate::{EventQuery, Lease, Page, RegistryError, Statistics, TaskQuery};

/// A task that the registry does not have, as others know it.
#[derive(Debug, Clone)]
pub struct LostTask {
    /// The task.
    pub task: Task,
    /// Its events, from the first on.
    pub events: Vec<Event>,
    /// Its executions.
    pub executions: Vec<Execution>,
}

/// Keeps tasks, executions, the event log and the queue of jobs.
///
/// Whatever changes something is one transaction together with its events: when the call returns
/// well, both are durable; when it returns an error, neither is there. Several processes may have
/// the same registry open.
#[async_trait]
pub trait Registry: EventLog + JobQueue {
    /// The id of the home that this registry belongs to; made with it, never changed.
    fn home_id(&self) -> &HomeId;

    /// Keeps a new task, and the fact that it was made.
    async fn create(&self, task: &Task) -> Result<(), RegistryError> {
        self.bulk_insert(std::slice::from_ref(task)).await
    }

    /// Keeps new tasks: all of them, or none.
    async fn bulk_insert(&self, tasks: &[Task]) -> Result<(), RegistryError>;

    /// Carries out a change, if the task is still at the version that it was computed from.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] when it is not; [`RegistryError::NotFound`] when it is gone.
    async fn commit(&self, change: &Change) -> Result<(), RegistryError> {
        self.bulk_update(std::slice::from_ref(change)).await
    }

    /// Carries out changes of different tasks: all of them, or none.
    async fn bulk_update(&self, changes: &[Change]) -> Result<(), RegistryError>;

    /// Keeps a task that was lost, with its events and executions as they were, and facts about that.
    /// Events that are there already stay. False when the task is there.
    async fn recover(&self, lost: &LostTask, facts: &[EventPayload])
    -> Result<bool, RegistryError>;

    /// Removes a task with its executions, if it is still at this version. Its events stay.
    async fn delete(
        &self,
        task: &TaskId,
        expected: u64,
        event: EventPayload,
    ) -> Result<(), RegistryError>;

    /// Appends a fact about the home as a whole.
    async fn announce(&self, event: SystemEvent) -> Result<(), RegistryError>;

    /// The facts about the home as a whole that have one of these names, in order. One that is damaged
    /// is left out.
    async fn announcements(&self, names: &[&str]) -> Result<Vec<Event>, RegistryError>;

    /// Appends facts that change no task's row.
    async fn append(&self, task: &TaskId, events: &[EventPayload]) -> Result<(), RegistryError>;

    /// The task of this id.
    async fn get(&self, task: &TaskId) -> Result<Task, RegistryError>;

    /// The task that a person or agent means: by its id, an unambiguous prefix of the id, or its
    /// exact name (R1).
    async fn resolve(&self, reference: &str) -> Result<Task, RegistryError>;

    /// A page of tasks.
    async fn list(&self, query: &TaskQuery) -> Result<Page<Task>, RegistryError>;

    /// The newest tasks of a state.
    async fn by_status(&self, status: TaskStatus, limit: u32) -> Result<Vec<Task>, RegistryError> {
        let query = TaskQuery { status: Some(status), limit, ..TaskQuery::default() };
        Ok(self.list(&query).await?.items)
    }

    /// The newest tasks of an owner.
    async fn by_owner(&self, owner: &str, limit: u32) -> Result<Vec<Task>, RegistryError> {
        let query = TaskQuery { owner: Some(owner.to_owned()), limit, ..TaskQuery::default() };
        Ok(self.list(&query).await?.items)
    }

    /// The newest tasks.
    async fn recent(&self, limit: u32) -> Result<Vec<Task>, RegistryError> {
        Ok(self.list(&TaskQuery { limit, ..TaskQuery::default() }).await?.items)
    }

    /// The newest tasks that have all these words in their name, request or metadata.
    async fn find(&self, text: &str, limit: u32) -> Result<Vec<Task>, RegistryError> {
        let query = TaskQuery { text: Some(text.to_owned()), limit, ..TaskQuery::default() };
        Ok(self.list(&query).await?.items)
    }

    /// Numbers over all tasks.
    async fn statistics(&self) -> Result<Statistics, RegistryError>;

    /// Attaches an agent to a task, which starts a pending one.
    async fn mark_running(
        &self,
        task: &TaskId,
        agent: AgentId,
        now: Timestamp,
    ) -> Result<Result<Task, TaskError>, RegistryError> {
        self.change(task, &|task| task.attach(agent.clone(), now)).await
    }

    /// Ends a task well.
    async fn mark_completed(
        &self,
        task: &TaskId,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Result<Task, TaskError>, RegistryError> {
        self.change(task, &|task| task.complete(outcome.clone(), now)).await
    }

    /// Ends a task badly.
    async fn mark_failed(
        &self,
        task: &TaskId,
        reason: String,
        now: Timestamp,
    ) -> Result<Result<Task, TaskError>, RegistryError> {
        self.change(task, &|task| task.fail(reason.clone(), now)).await
    }

    /// Computes a change from the task as it is, and carries it out; again from the start when
    /// somebody else was faster. The inner result is what the task's state says to it.
    async fn change(
        &self,
        task: &TaskId,
        compute: &(dyn for<'a> Fn(&'a Task) -> Result<Change, TaskError> + Sync),
    ) -> Result<Result<Task, TaskError>, RegistryError> {
        loop {
            let change = match compute(&self.get(task).await?) {
                Ok(change) => change,
                Err(refusal) => return Ok(Err(refusal)),
            };
            match self.commit(&change).await {
                Ok(()) => return Ok(Ok(change.after)),
                Err(RegistryError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps an execution that begins.
    async fn begin_execution(
        &self,
        execution: &Execution,
        env: &[String],
    ) -> Result<(), RegistryError>;

    /// Notes how an execution ended. False when that was noted before; then nothing changes.
    async fn end_execution(
        &self,
        execution: &Execution,
        end: &ExecutionEnd,
    ) -> Result<bool, RegistryError>;

    /// One execution of a task.
    async fn execution(
        &self,
        task: &TaskId,
        execution: &ExecutionId,
    ) -> Result<Execution, RegistryError>;

    /// The newest executions of a task, newest first.
    async fn executions(&self, task: &TaskId, limit: u32) -> Result<Vec<Execution>, RegistryError>;

    /// Keeps a checkpoint that was taken.
    ///
    /// # Errors
    /// [`RegistryError::CheckpointNameTaken`]; [`RegistryError::NotFound`] when the task is gone.
    async fn add_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), RegistryError>;

    /// The checkpoints of a task, or of all tasks, the oldest first.
    async fn checkpoints(&self, task: Option<&TaskId>) -> Result<Vec<Checkpoint>, RegistryError>;

    /// The checkpoint of a task that somebody means: by its name, its id, or the beginning of that.
    ///
    /// # Errors
    /// [`RegistryError::NoSuchCheckpoint`], [`RegistryError::AmbiguousCheckpoint`].
    async fn checkpoint(
        &self,
        task: &TaskId,
        reference: &str,
    ) -> Result<Checkpoint, RegistryError> {
        let all = self.checkpoints(Some(task)).await?;
        let is_meant = |one: &&Checkpoint| {
            one.id.as_str() == reference
                || one.name.as_ref().is_some_and(|name| name.as_str() == reference)
        };
        if let Some(one) = all.iter().find(is_meant) {
            return Ok(one.clone());
        }
        let begins =
            |one: &Checkpoint| !reference.is_empty() && one.id.as_str().starts_with(reference);
        let mut meant: Vec<_> = all.into_iter().filter(begins).collect();
        match meant.pop() {
            Some(one) if meant.is_empty() => Ok(one),
            Some(one) => Err(RegistryError::AmbiguousCheckpoint {
                reference: reference.to_owned(),
                candidates: meant.into_iter().chain([one]).map(|one| one.id).collect(),
            }),
            None => Err(RegistryError::NoSuchCheckpoint {
                task: task.clone(),
                reference: reference.to_owned(),
            }),
        }
    }

    /// Says whether a checkpoint stays until somebody says otherwise. False when it was so before.
    ///
    /// # Errors
    /// [`RegistryError::NoSuchCheckpoint`].
    async fn pin_checkpoint(
        &self,
        task: &TaskId,
        checkpoint: &CheckpointId,
        pinned: bool,
    ) -> Result<bool, RegistryError>;

    /// Removes a checkpoint. False when it is not there; or when it is held, or a fork to come is made from
    /// it, and nobody asked for that or misses its files.
    async fn forget_checkpoint(
        &self,
        task: &TaskId,
        checkpoint: &CheckpointId,
        cause: Forgotten,
    ) -> Result<bool, RegistryError>;

    /// The forks that nobody has begun to work in, and what their files are made from.
    async fn forks_to_come(&self) -> Result<Vec<(TaskId, ForkedFrom)>, RegistryError>;

    /// Every execution that nobody has noted the end of.
    async fn running_executions(&self) -> Result<Vec<Execution>, RegistryError>;

    /// The events of a task, in order, also of one that is deleted.
    async fn events(&self, task: &TaskId, query: EventQuery) -> Result<Vec<Event>, RegistryError>;

    /// Leases `name` to `owner` for so long: if nobody has it, or who had it let it expire.
    ///
    /// # Errors
    /// [`RegistryError::LeaseHeld`] when somebody has it.
    async fn take_lease(
        &self,
        name: &str,
        owner: &str,
        time: Duration,
    ) -> Result<Lease, RegistryError>;

    /// Puts off the end of a lease: so long from now.
    ///
    /// # Errors
    /// [`RegistryError::LeaseLost`] when it expired and somebody took it, or it was given up.
    async fn renew_lease(&self, lease: &Lease, time: Duration) -> Result<Lease, RegistryError>;

    /// Gives a lease up. False when it was lost before.
    async fn give_up_lease(&self, lease: &Lease) -> Result<bool, RegistryError>;

    /// The leases that are held.
    async fn leases(&self) -> Result<Vec<Lease>, RegistryError>;

    /// Copies everything, as it is at one moment, into a file that is not there yet. Who writes or
    /// reads meanwhile is not held up.
    async fn copy_to(&self, file: &Path) -> Result<(), RegistryError>;

    /// Reads the whole database and says what is wrong with it; nothing when all is well.
    async fn check(&self) -> Result<Vec<String>, RegistryError>;

    /// Lets go of the database, so that another process finds it settled.
    async fn close(&self);
}
