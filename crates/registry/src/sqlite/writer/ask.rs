//! What callers ask the writer for.

use std::any::Any;
use std::fmt;
use std::pin::Pin;

use armor_core::execution::{Execution, ExecutionEnd};
use armor_core::id::{ExecutionId, TaskId};
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use crate::RegistryError;
use crate::sqlite::writer::encoded::{Changed, Fact, New};
use crate::sqlite::writer::log::When;

/// A future that is sent between threads.
pub(in crate::sqlite) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// What statements gave their caller.
pub(super) type Value = Box<dyn Any + Send>;
/// What statements give that changed something.
pub(super) struct Changes;
/// Statements of one caller's own; they may be carried out more than once.
pub(in crate::sqlite) type Statements = Box<
    dyn for<'c> Fn(&'c mut SqliteConnection) -> BoxFuture<'c, Result<Value, RegistryError>>
        + Send
        + Sync,
>;

/// What one caller asks to be written: the whole of it, or nothing.
pub(in crate::sqlite) enum Deed {
    /// New tasks, and the facts that they were made.
    Insert(Vec<New>),
    /// Changes of different tasks, with their facts.
    Update(Vec<Changed>),
    /// The removal of a task at this version.
    Delete { task: TaskId, expected: u64, fact: Fact },
    /// Facts about a task.
    Append { task: TaskId, facts: Vec<Fact> },
    /// A fact about the home.
    Announce(Fact),
    /// A new execution, with the fact that it began.
    Begin { execution: Execution, fact: Fact },
    /// The end of an execution, unless it has ended before, with the fact.
    End { execution: ExecutionId, task: TaskId, end: ExecutionEnd, fact: Fact },
    /// Statements that change something or not, with the fact of that if they do.
    Told { statements: Statements, task: Option<TaskId>, facts: Vec<Fact> },
    /// Anything else.
    Other(Statements),
    /// The end of the writer itself.
    Close,
}

/// What the writer answers.
pub(super) enum Answer {
    /// Whether there was something to do.
    Changed(bool),
    /// What the statements gave.
    Value(Value),
}

/// A deed with whom to answer.
pub(super) struct Ask {
    pub(super) deed: Deed,
    pub(super) reply: oneshot::Sender<Result<Answer, RegistryError>>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(changed) => f.debug_tuple("Changed").field(changed).finish(),
            Self::Value(_) => f.write_str("Value"),
        }
    }
}

impl Deed {
    /// Whether it has to be in a group of its own: when a part of it is refused, the whole
    /// transaction is undone.
    pub(super) const fn is_alone(&self) -> bool {
        match self {
            Self::Insert(tasks) => tasks.len() != 1,
            Self::Update(changes) => changes.len() != 1,
            Self::Close => true,
            _ => false,
        }
    }

    /// What has to hold for it to be carried out, where it changes one row if that is as expected.
    pub(super) fn condition(&self) -> Option<When<'_>> {
        match self {
            Self::Update(changes) => match changes.as_slice() {
                [change] => Some(When::TaskAt(&change.row.task.id, change.expected)),
                _ => None,
            },
            Self::Delete { task, expected, .. } => Some(When::TaskAt(task, *expected)),
            Self::End { execution, .. } => Some(When::Running(execution)),
            _ => None,
        }
    }

    /// The task whose row it changes or refers to. A group has one such deed a task, so that each
    /// statement of a group finds the row as it was before the group.
    pub(super) fn claims(&self) -> Option<&TaskId> {
        match self {
            Self::Insert(new) => new.first().map(|new| &new.row.task.id),
            Self::Update(changes) => changes.first().map(|change| &change.row.task.id),
            Self::Delete { task, .. } | Self::End { task, .. } => Some(task),
            Self::Begin { execution, .. } => Some(&execution.task),
            Self::Told { task, .. } => task.as_ref(),
            Self::Append { .. } | Self::Announce(_) | Self::Other(_) | Self::Close => None,
        }
    }
}
