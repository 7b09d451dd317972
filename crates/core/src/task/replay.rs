//! A task as its events tell it: for whoever has the log and not the row (R25).

use crate::event::{CheckpointEvent, Event, EventPayload, NetworkEvent, TaskEvent};
use crate::id::TaskId;
use crate::task::change::ATTACHED_SINCE;
use crate::task::{
    Metadata, Outcome, RepositoryBase, SandboxRequest, Task, TaskRequest, TaskStatus,
};

impl Task {
    /// The task that events tell of; none when they do not begin with its creation. What no event has
    /// is as it would be by default: its metadata, certificates, and where its repository's objects are.
    pub fn replayed(id: &TaskId, events: &[Event]) -> Option<Self> {
        let (mut task, others) = Self::begun(id, events)?;
        for event in others {
            task.follow(event);
        }
        Some(task)
    }

    /// The task as it became since this older state of it was written down, by its log from the first event
    /// on, which may end before that. What no event has is as it was then. Clocks decide only where the
    /// log does not tell of the state.
    #[must_use]
    pub fn recalled(self, events: &[Event]) -> Self {
        if let Some((mut told, others)) = Self::begun(&self.id, events) {
            let mut is_told_of = told.is_as(&self);
            for event in others {
                told.follow(event);
                is_told_of = is_told_of || told.is_as(&self);
            }
            let reaches = events.last().is_some_and(|last| last.at >= self.updated_at);
            if is_told_of && (reaches || told.is_as(&self)) {
                told.version = told.version.max(self.version);
                told.metadata = self.metadata;
                told.sandbox.certificates = self.sandbox.certificates;
                if let (Some(told), Some(known)) = (&mut told.repository, self.repository) {
                    told.objects = known.objects;
                }
                return told;
            }
        }
        self.brought_up(events)
    }

    /// The task with those of the events that came behind this state of it, by the clock: for whoever has
    /// only a part of its log.
    #[must_use]
    pub fn brought_up(mut self, events: &[Event]) -> Self {
        let since = self.updated_at;
        for event in events.iter().filter(|event| event.at > since) {
            self.follow(event);
        }
        self
    }

    /// Whether it stands as another state of the task does, as far as events tell how it stands.
    fn is_as(&self, other: &Self) -> bool {
        let head = |task: &Self| task.repository.as_ref().map(|repository| repository.head.clone());
        (self.status, &self.agent, &self.outcome, self.retries, &self.sandbox.rules)
            == (other.status, &other.agent, &other.outcome, other.retries, &other.sandbox.rules)
            && head(self) == head(other)
    }

    /// The task as it was created, and what happened to it since.
    fn begun<'a>(id: &TaskId, events: &'a [Event]) -> Option<(Self, &'a [Event])> {
        let (first, others) = events.split_first()?;
        let EventPayload::Task(created @ TaskEvent::Created { .. }) = &first.payload else {
            return None;
        };
        Some((Self::new(id.clone(), request(created)?, first.at), others))
    }

    /// Brings it in line with an event that it has not seen.
    pub fn follow(&mut self, event: &Event) {
        let at = event.at;
        match &event.payload {
            EventPayload::Task(event) => match event {
                TaskEvent::Started => {
                    if self.status == TaskStatus::Failed {
                        self.retries += 1;
                    }
                    self.status = TaskStatus::Running;
                    self.started_at.get_or_insert(at);
                    self.finished_at = None;
                }
                TaskEvent::Attached { agent } => {
                    self.agent = Some(agent.clone());
                    self.unsettle_work(ATTACHED_SINCE);
                }
                TaskEvent::Detached { .. } => self.agent = None,
                TaskEvent::WorkCollected { to, work, .. } => {
                    if let Some(repository) = &mut self.repository {
                        repository.head.clone_from(to);
                        repository.work = work.clone();
                    }
                }
                TaskEvent::Completed { message, result } => {
                    let outcome = Outcome { message: message.clone(), result: result.clone() };
                    self.ended(TaskStatus::Completed, outcome, at);
                }
                TaskEvent::Failed { reason } => {
                    let outcome = Outcome { message: Some(reason.clone()), result: None };
                    self.ended(TaskStatus::Failed, outcome, at);
                }
                TaskEvent::Cancelled { reason } => {
                    let outcome = Outcome { message: reason.clone(), result: None };
                    self.ended(TaskStatus::Cancelled, outcome, at);
                }
                TaskEvent::Created { .. }
                | TaskEvent::Loosened { .. }
                | TaskEvent::CollectFailed { .. }
                | TaskEvent::Decided(_)
                | TaskEvent::Recovered { .. }
                | TaskEvent::Deleted { .. } => return,
            },
            EventPayload::Checkpoint(restored @ CheckpointEvent::Restored { path: None, .. }) => {
                *self = self.restored(restored.clone(), at).after;
            }
            EventPayload::Network(NetworkEvent::Ruled { rule, verdict }) => {
                self.sandbox.rules.set(rule.clone(), *verdict);
            }
            EventPayload::Checkpoint(_)
            | EventPayload::Network(_)
            | EventPayload::Sandbox(_)
            | EventPayload::Execution(_)
            | EventPayload::Hook(_)
            | EventPayload::System(_) => return,
        }
        self.updated_at = at;
        self.version += 1;
    }

    fn ended(&mut self, status: TaskStatus, outcome: Outcome, at: crate::time::Timestamp) {
        self.status = status;
        self.outcome = Some(outcome);
        self.finished_at = Some(at);
        self.agent = None;
    }
}

/// What was asked for, as far as the event says it.
fn request(created: &TaskEvent) -> Option<TaskRequest> {
    let TaskEvent::Created {
        name,
        request,
        owner,
        image,
        network,
        rules,
        limits,
        repository,
        branch: _,
        base,
        folder,
        forked_from,
    } = created
    else {
        return None;
    };
    let repository = repository.clone().zip(base.clone());
    Some(TaskRequest {
        name: name.parse().ok()?,
        request: request.clone().map(TryInto::try_into).transpose().ok()?,
        owner: owner.parse().ok()?,
        metadata: Metadata::default(),
        sandbox: SandboxRequest {
            image: image.clone(),
            network: *network,
            rules: rules.clone(),
            certificates: None,
            limits: *limits,
            folder: folder.as_deref().cloned(),
            forked_from: forked_from.as_deref().cloned(),
        },
        repository: repository.map(|(path, commit)| RepositoryBase { path, commit, objects: None }),
    })
}
