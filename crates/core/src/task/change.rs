//! The changes of a task, as pure functions from a task and a moment to a [`Change`].

use crate::error::{Code, Diagnostic};
use crate::event::{CheckpointEvent, EventPayload, NetworkEvent, TaskEvent};
use crate::id::{AgentId, TaskId};
use crate::network::{Rule, Verdict};
use crate::sandbox::NetworkMode;
use crate::task::{Folder, Outcome, Task, TaskStatus, WorkState};
use crate::time::Timestamp;

/// Why it is not known whether all work of a task is saved.
pub(super) const ATTACHED_SINCE: &str = "an agent has attached since";

/// A change of one task: what the registry commits together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The version that the change was computed from; the commit is refused if it moved on.
    pub expected: u64,
    /// The task as it is to be, its version already counted up.
    pub after: Task,
    /// The facts to append, in order. Never empty.
    pub events: Vec<EventPayload>,
}

/// A change that a task's present state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// The way from one state to the other does not exist.
    #[error("task {task} is {from} and cannot become {to}")]
    IllegalTransition {
        /// The task.
        task: TaskId,
        /// Where it stands.
        from: TaskStatus,
        /// Where it was to go.
        to: TaskStatus,
    },
    /// Only a running task can do this.
    #[error("task {task} is {status}, not running")]
    NotRunning {
        /// The task.
        task: TaskId,
        /// Where it stands.
        status: TaskStatus,
    },
    /// Nobody is attached.
    #[error("no agent is attached to task {task}")]
    NotAttached {
        /// The task.
        task: TaskId,
    },
    /// Somebody else is attached.
    #[error("agent {holder} is attached to task {task}")]
    AttachedElsewhere {
        /// The task.
        task: TaskId,
        /// Who is attached.
        holder: AgentId,
    },
    /// Deleting would lose work.
    #[error("task {task} may lose work: {work}")]
    UnsavedWork {
        /// The task.
        task: TaskId,
        /// What is known of its work.
        work: WorkState,
    },
    /// Rules say nothing about its network.
    #[error("task {task} has the network {network}, about which rules say nothing")]
    NoRules {
        /// The task.
        task: TaskId,
        /// Its network.
        network: NetworkMode,
    },
    /// Deleting would stop work that goes on.
    #[error("task {task} is running")]
    StillRunning {
        /// The task.
        task: TaskId,
    },
}

impl Diagnostic for TaskError {
    fn code(&self) -> Code {
        match self {
            Self::IllegalTransition { .. } | Self::StillRunning { .. } => {
                Code::TaskIllegalTransition
            }
            Self::NotRunning { .. } => Code::TaskNotRunning,
            Self::NotAttached { .. } => Code::TaskNotAttached,
            Self::AttachedElsewhere { .. } => Code::TaskAttachedElsewhere,
            Self::UnsavedWork { .. } => Code::TaskUnsavedWork,
            Self::NoRules { .. } => Code::NetworkNoRules,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::IllegalTransition { from, .. } if from.is_final() => {
                format!("A {from} task has ended: create a new task for more work.")
            }
            Self::IllegalTransition { .. } | Self::NotAttached { .. } => {
                "Attach an agent first (attach_agent_to_task, or `armor exec`).".to_owned()
            }
            Self::NotRunning { status: TaskStatus::Pending, .. } => {
                "Attach an agent first: attaching starts the task.".to_owned()
            }
            Self::NotRunning { .. } => "Create a new task: this one has ended.".to_owned(),
            Self::AttachedElsewhere { holder, .. } => {
                format!("Wait until {holder} detaches, or detach it (detach_agent_from_task).")
            }
            Self::UnsavedWork { .. } => {
                "Delete with force to lose it; or keep it first: its files are in the task's working copy.".to_owned()
            }
            Self::NoRules { .. } => {
                "Create the task with `--network egress`: then rules say what it reaches.".to_owned()
            }
            Self::StillRunning { .. } => {
                "Stop it first, or delete with force to stop and delete it at once.".to_owned()
            }
        })
    }
}

impl Task {
    /// The facts that this task was made, and what its sandbox is less closed in than by default.
    pub fn created(&self) -> Vec<EventPayload> {
        let repository = self.repository.as_ref();
        let created = TaskEvent::Created {
            name: self.name.to_string(),
            request: self.request.as_ref().map(ToString::to_string),
            owner: self.owner.to_string(),
            image: self.sandbox.image.clone(),
            network: self.sandbox.network,
            rules: self.sandbox.rules.clone(),
            limits: self.sandbox.limits,
            repository: repository.map(|repository| repository.path.clone()),
            branch: repository.map(|repository| repository.branch.clone()),
            base: repository.map(|repository| repository.base.clone()),
            folder: self.sandbox.folder.clone().map(Box::new),
            forked_from: self.sandbox.forked_from.clone().map(Box::new),
        };
        let what = self.sandbox.loosenings();
        let loosened = (!what.is_empty()).then_some(TaskEvent::Loosened { what });
        [created].into_iter().chain(loosened).map(EventPayload::from).collect()
    }

    /// Attaches `agent`, starting a pending task. Attaching the same agent again changes nothing
    /// but is recorded, since the agent may be a new process of the same name.
    ///
    /// # Errors
    /// When another agent is attached, or the task has ended.
    pub fn attach(&self, agent: AgentId, now: Timestamp) -> Result<Change, TaskError> {
        if let Some(holder) = self.agent.as_ref().filter(|holder| **holder != agent) {
            return Err(TaskError::AttachedElsewhere {
                task: self.id.clone(),
                holder: holder.clone(),
            });
        }
        let mut events = Vec::new();
        let mut after = match self.status {
            TaskStatus::Running => self.clone(),
            TaskStatus::Pending => {
                events.push(TaskEvent::Started.into());
                self.moved_to(TaskStatus::Running, now)?
            }
            // Taking up a failed task again is resuming it, which is asked for by that name.
            TaskStatus::Failed | TaskStatus::Completed | TaskStatus::Cancelled => {
                return Err(self.illegal(TaskStatus::Running));
            }
        };
        events.push(TaskEvent::Attached { agent: agent.clone() }.into());
        after.agent = Some(agent);
        after.unsettle_work(ATTACHED_SINCE);
        Ok(self.change(after, events, now))
    }

    /// Detaches whoever is attached, or `agent` in particular. The task goes on running.
    ///
    /// # Errors
    /// When nobody, or another agent, is attached.
    pub fn detach(&self, agent: Option<&AgentId>, now: Timestamp) -> Result<Change, TaskError> {
        let holder =
            self.agent.clone().ok_or_else(|| TaskError::NotAttached { task: self.id.clone() })?;
        if agent.is_some_and(|agent| *agent != holder) {
            return Err(TaskError::AttachedElsewhere { task: self.id.clone(), holder });
        }
        let mut after = self.clone();
        after.agent = None;
        Ok(self.change(after, vec![TaskEvent::Detached { agent: holder }.into()], now))
    }

    /// Ends the task well.
    ///
    /// # Errors
    /// When it is not running.
    pub fn complete(&self, outcome: Outcome, now: Timestamp) -> Result<Change, TaskError> {
        let event = TaskEvent::Completed {
            message: outcome.message.clone(),
            result: outcome.result.clone(),
        };
        self.end(TaskStatus::Completed, outcome, event, now)
    }

    /// Ends the task badly, for `reason`.
    ///
    /// # Errors
    /// When it is not running.
    pub fn fail(&self, reason: String, now: Timestamp) -> Result<Change, TaskError> {
        let event = TaskEvent::Failed { reason: reason.clone() };
        let outcome = Outcome { message: Some(reason), result: None };
        self.end(TaskStatus::Failed, outcome, event, now)
    }

    /// Gives the task up.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn cancel(&self, reason: Option<String>, now: Timestamp) -> Result<Change, TaskError> {
        let event = TaskEvent::Cancelled { reason: reason.clone() };
        let outcome = Outcome { message: reason, result: None };
        self.end(TaskStatus::Cancelled, outcome, event, now)
    }

    /// Notes what was brought from the working copy onto the task's branch.
    pub fn collected(&self, head: String, commits: u32, work: WorkState, now: Timestamp) -> Change {
        let mut after = self.clone();
        let mut events = Vec::new();
        if let Some(repository) = &mut after.repository {
            let from = std::mem::replace(&mut repository.head, head.clone());
            repository.work = work.clone();
            let branch = repository.branch.clone();
            events.push(TaskEvent::WorkCollected { branch, from, to: head, commits, work }.into());
        }
        self.change(after, events, now)
    }

    /// Begins anew with the files of a checkpoint, from any state: the one way back to pending (R2).
    /// `restored` is the fact. Who was attached is no longer.
    pub fn restored(&self, restored: CheckpointEvent, now: Timestamp) -> Change {
        let mut after = self.clone();
        let mut events = Vec::new();
        if let Some(agent) = after.agent.take() {
            events.push(TaskEvent::Detached { agent }.into());
        }
        events.push(restored.into());
        if self.started_at.is_some() {
            after.unsettle_work("a checkpoint was restored since it was looked at");
        }
        after.status = TaskStatus::Pending;
        after.outcome = None;
        after.finished_at = None;
        self.change(after, events, now)
    }

    /// Adds rules about what the task may reach, each in the place of the same one of the other
    /// verdict.
    ///
    /// # Errors
    /// When it has ended, or its network is none that rules govern.
    pub fn rule(
        &self,
        rules: &[Rule],
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<Change, TaskError> {
        if self.status.is_final() {
            return Err(TaskError::NotRunning { task: self.id.clone(), status: self.status });
        }
        let network = self.sandbox.network;
        if network != NetworkMode::Egress {
            return Err(TaskError::NoRules { task: self.id.clone(), network });
        }
        let mut after = self.clone();
        let mut events = Vec::new();
        for rule in rules {
            after.sandbox.rules.set(rule.clone(), verdict);
            events.push(NetworkEvent::Ruled { rule: rule.clone(), verdict }.into());
        }
        Ok(self.change(after, events, now))
    }

    /// Whether the task may be deleted without losing anything.
    ///
    /// # Errors
    /// When it runs, or when its working copy holds work that is on no branch.
    pub fn check_deletable(&self) -> Result<(), TaskError> {
        if self.status == TaskStatus::Running {
            return Err(TaskError::StillRunning { task: self.id.clone() });
        }
        if self.is_only_here() {
            let reason = "it is a copy of a folder, and nothing of it is brought home".to_owned();
            let work = WorkState::Unknown { reason };
            return Err(TaskError::UnsavedWork { task: self.id.clone(), work });
        }
        match self.repository.as_ref().map(|repository| &repository.work) {
            None | Some(WorkState::Saved) => Ok(()),
            Some(work) => Err(TaskError::UnsavedWork { task: self.id.clone(), work: work.clone() }),
        }
    }

    /// What an agent did in a copy of a folder is nowhere else.
    fn is_only_here(&self) -> bool {
        let is_copy = matches!(self.sandbox.folder, Some(Folder::Copy { .. }));
        is_copy && self.started_at.is_some()
    }

    /// Whether commands may run in it now.
    ///
    /// # Errors
    /// When it is not running, or nobody is attached.
    pub fn check_executable(&self) -> Result<&AgentId, TaskError> {
        if self.status != TaskStatus::Running {
            return Err(TaskError::NotRunning { task: self.id.clone(), status: self.status });
        }
        self.agent.as_ref().ok_or_else(|| TaskError::NotAttached { task: self.id.clone() })
    }

    fn end(
        &self,
        status: TaskStatus,
        outcome: Outcome,
        event: TaskEvent,
        now: Timestamp,
    ) -> Result<Change, TaskError> {
        let mut after = self.moved_to(status, now)?;
        let mut events = Vec::new();
        if let Some(agent) = after.agent.take() {
            events.push(TaskEvent::Detached { agent }.into());
        }
        events.push(event.into());
        after.outcome = Some(outcome);
        Ok(self.change(after, events, now))
    }

    fn moved_to(&self, status: TaskStatus, now: Timestamp) -> Result<Self, TaskError> {
        if !self.status.may_become(status) {
            return Err(self.illegal(status));
        }
        let mut after = self.clone();
        if self.status == TaskStatus::Failed {
            after.retries += 1;
        }
        if status == TaskStatus::Running {
            after.started_at.get_or_insert(now);
        }
        after.finished_at = status.is_final().then_some(now);
        after.status = status;
        Ok(after)
    }

    fn illegal(&self, to: TaskStatus) -> TaskError {
        TaskError::IllegalTransition { task: self.id.clone(), from: self.status, to }
    }

    fn change(&self, mut after: Self, events: Vec<EventPayload>, now: Timestamp) -> Change {
        after.version = self.version + 1;
        after.updated_at = now;
        Change { expected: self.version, after, events }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Event, Seq, Subject};
    use crate::id::{EventId, IdSource, SequentialIds};
    use crate::task::{RepositoryBase, TRANSITIONS, TaskRequest};

    #[derive(Debug, Clone)]
    enum Step {
        Attach(u8),
        Detach,
        Complete,
        Fail,
        Cancel,
        Restore,
        Collect(bool),
        Rule(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u8..2).prop_map(Step::Attach),
            Just(Step::Detach),
            Just(Step::Complete),
            Just(Step::Fail),
            Just(Step::Cancel),
            Just(Step::Restore),
            any::<bool>().prop_map(Step::Collect),
            any::<bool>().prop_map(Step::Rule),
        ]
    }

    fn task() -> Task {
        let now = Timestamp::from_millis(1);
        let mut request = TaskRequest::named("a task".parse().unwrap());
        request.sandbox.network = NetworkMode::Egress;
        request.repository =
            Some(RepositoryBase { path: "/project".into(), commit: "1".repeat(40), objects: None });
        Task::new(SequentialIds::default().task_id(now), request, now)
    }

    fn apply(task: &Task, step: &Step, now: Timestamp) -> Result<Change, TaskError> {
        match step {
            Step::Attach(n) => task.attach(AgentId::parse(format!("agent-{n}")).unwrap(), now),
            Step::Detach => task.detach(None, now),
            Step::Complete => task.complete(Outcome { message: None, result: None }, now),
            Step::Fail => task.fail("no reason".to_owned(), now),
            Step::Cancel => task.cancel(None, now),
            Step::Restore => Ok(task.restored(restored(), now)),
            Step::Collect(is_saved) => {
                let unsaved = WorkState::Unsaved { files: 1, commits: 0 };
                let work = if *is_saved { WorkState::Saved } else { unsaved };
                Ok(task.collected("2".repeat(40), 1, work, now))
            }
            Step::Rule(allows) => {
                let verdict = if *allows { Verdict::Allow } else { Verdict::Deny };
                task.rule(&["example.com".parse().unwrap()], verdict, now)
            }
        }
    }

    fn restored() -> CheckpointEvent {
        let (checkpoint, safety) = ("cp1".parse().unwrap(), "cp2".parse().unwrap());
        CheckpointEvent::Restored { checkpoint, safety, changed: 1, path: None }
    }

    proptest! {
        // R2: whatever is tried in whatever order, only listed transitions happen.
        #[test]
        fn random_walks_keep_to_the_listed_transitions(steps in prop::collection::vec(step(), 1..30)) {
            let mut task = task();
            for (tick, step) in (2..).zip(&steps) {
                let now = Timestamp::from_millis(tick);
                let Ok(change) = apply(&task, step, now) else { continue };
                let after = &change.after;
                if matches!(step, Step::Restore) {
                    prop_assert_eq!(after.status, TaskStatus::Pending);
                } else {
                    let way = (task.status, after.status);
                    prop_assert!(way.0 == way.1 || TRANSITIONS.contains(&way));
                }
                prop_assert_eq!(change.expected, task.version);
                prop_assert_eq!(after.version, task.version + 1);
                prop_assert!(!change.events.is_empty());
                prop_assert_eq!(after.finished_at.is_some(), after.status.is_final());
                prop_assert_eq!(after.outcome.is_some(), after.status.is_final());
                prop_assert!(after.agent.is_none() || after.status == TaskStatus::Running);
                task = change.after;
            }
        }
    }

    proptest! {
        // R25: the events tell all that the changes did.
        #[test]
        fn a_task_is_what_its_events_tell(
            steps in prop::collection::vec(step(), 0..30), seen in 2_i64..32,
        ) {
            let mut task = task();
            let mut payloads = task.created();
            let mut moments = vec![task.created_at; payloads.len()];
            let mut older = task.clone();
            for (tick, step) in (2..).zip(&steps) {
                let now = Timestamp::from_millis(tick);
                let Ok(change) = apply(&task, step, now) else { continue };
                moments.extend(change.events.iter().map(|_| now));
                payloads.extend(change.events);
                task = change.after;
                if tick == seen {
                    older = task.clone();
                }
            }
            let events: Vec<_> = payloads.into_iter().zip(moments).zip(1..).map(|((payload, at), n)| Event {
                seq: Seq(n),
                id: EventId::parse(format!("e{n}")).unwrap(),
                subject: Subject::Task { task: task.id.clone(), task_seq: n },
                at,
                payload,
            }).collect();
            let mut told = Task::replayed(&task.id, &events).unwrap();
            // It counts events, and changes are counted.
            told.version = task.version;
            prop_assert_eq!(&told, &task);
            prop_assert!(Task::replayed(&TaskId::parse("t").unwrap(), &events[1..]).is_none());
            // Whichever of them an older state has seen.
            let mut older = older;
            older.metadata = serde_json::from_str(r#"{"a":"b"}"#).unwrap();
            let metadata = older.metadata.clone();
            let mut recalled = older.recalled(&events);
            prop_assert_eq!(recalled.metadata, metadata);
            recalled.metadata = task.metadata.clone();
            recalled.version = task.version;
            prop_assert_eq!(&recalled, &task);
        }
    }

    // R25: a log that is cut takes nothing away of what is known otherwise.
    #[test]
    fn a_log_that_does_not_reach_a_state_does_not_undo_it() {
        let at = Timestamp::from_millis;
        let attached = task().attach("an-agent".parse().unwrap(), at(2)).unwrap().after;
        let failed = attached.fail("why".to_owned(), at(3)).unwrap().after;
        let payloads = task().created().into_iter().take(1).zip(1..);
        let events: Vec<_> = payloads
            .map(|(payload, n)| Event {
                seq: Seq(n),
                id: EventId::parse(format!("e{n}")).unwrap(),
                subject: Subject::Task { task: failed.id.clone(), task_seq: n },
                at: at(1),
                payload,
            })
            .collect();
        assert_eq!(failed.clone().recalled(&events), failed);
        assert_eq!(failed.clone().recalled(&[]), failed);
        // Also where it once was as it is again.
        let pending = failed.restored(restored(), at(4)).after;
        let started =
            [TaskEvent::Started, TaskEvent::Attached { agent: "an-agent".parse().unwrap() }];
        let mut cut = events;
        for (payload, n) in started.into_iter().zip(2..) {
            let subject = Subject::Task { task: pending.id.clone(), task_seq: n };
            let id = EventId::parse(format!("e{n}")).unwrap();
            cut.push(Event { seq: Seq(n), id, subject, at: at(2), payload: payload.into() });
        }
        assert_eq!(pending.clone().recalled(&cut), pending);
        assert_eq!(pending.clone().brought_up(&cut), pending);
    }

    #[test]
    fn a_refused_transition_names_both_states() {
        let error =
            task().complete(Outcome { message: None, result: None }, Timestamp::from_millis(2));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("pending") && text.contains("completed"), "{text}");
    }

    #[test]
    fn an_attached_agent_keeps_others_out_until_it_detaches() {
        let now = Timestamp::from_millis(2);
        let first = AgentId::parse("first").unwrap();
        let second = AgentId::parse("second").unwrap();
        let attached = task().attach(first.clone(), now).unwrap().after;
        assert_eq!(
            attached.attach(second.clone(), now).unwrap_err().code(),
            Code::TaskAttachedElsewhere
        );
        assert!(attached.detach(Some(&second), now).is_err());
        let detached = attached.detach(Some(&first), now).unwrap().after;
        assert_eq!(detached.status, TaskStatus::Running);
        assert_eq!(detached.attach(second.clone(), now).unwrap().after.agent, Some(second));
    }
}
