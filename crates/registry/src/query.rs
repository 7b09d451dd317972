//! What can be asked of a registry, and the forms of its answers.

use std::collections::BTreeMap;

use armor_core::task::{TaskName, TaskStatus};
use armor_core::time::Timestamp;
use serde::Serialize;

use crate::Cursor;
use crate::cursor::digest;

/// Which tasks to list, from where, and how many. Every filter that is set has to match.
#[derive(Debug, Clone)]
pub struct TaskQuery {
    /// In this state.
    pub status: Option<TaskStatus>,
    /// Of this owner.
    pub owner: Option<String>,
    /// Of exactly this name.
    pub name: Option<TaskName>,
    /// With this key in the metadata, at the top, having this text as its value.
    pub label: Option<(String, String)>,
    /// With all these words in its name, request or metadata. A word that ends in `*` stands for
    /// all that begin like it.
    pub text: Option<String>,
    /// Made at or after this moment.
    pub created_from: Option<Timestamp>,
    /// Made before this moment.
    pub created_to: Option<Timestamp>,
    /// Newest or oldest first.
    pub order: Order,
    /// Only what comes behind: the `next` of the page before, of a list that is otherwise alike.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: u32,
}

impl Default for TaskQuery {
    fn default() -> Self {
        Self {
            status: None,
            owner: None,
            name: None,
            label: None,
            text: None,
            created_from: None,
            created_to: None,
            order: Order::NewestFirst,
            after: None,
            limit: 50,
        }
    }
}

impl TaskQuery {
    /// What tells this list from others, whatever the page.
    pub(crate) fn digest(&self) -> u32 {
        let Self { status, owner, name, label, text, created_from, created_to, order, .. } = self;
        digest(&format!(
            "{status:?} {owner:?} {name:?} {label:?} {text:?} {created_from:?} {created_to:?} {order:?}"
        ))
    }
}

/// The order of a list, by time of creation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to ask for to get the next part; none when this is the last.
    pub next: Option<Cursor>,
}

/// Which events of a task to read.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only those behind this place among the task's events.
    pub after: u64,
    /// At most so many; all of them when none is given.
    pub limit: Option<u32>,
}

/// Numbers over all tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// All tasks.
    pub total: u64,
    /// Tasks of each state that occurs.
    pub by_status: BTreeMap<String, u64>,
    /// Tasks of each owner.
    pub by_owner: BTreeMap<String, u64>,
    /// How often tasks were taken up again.
    pub retries: u64,
    /// Mean time from start to end of the tasks that ended, in milliseconds.
    pub mean_duration_ms: Option<u64>,
    /// The longest such time, in milliseconds.
    pub max_duration_ms: Option<u64>,
}
