//! Hooks: code that runs before or after a change of a task's state (R34, R41).
//!
//! Each point is an event too, so that who listens to the log sees what hooks see; which of the two
//! sides is used, or both, is a setting.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::event::{EventPayload, HookEvent, TaskEvent};
use crate::task::Task;

/// A change that hooks run before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookedChange {
    /// A task starts.
    Start,
    /// A task ends well.
    Complete,
    /// A task ends badly.
    Fail,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Before the change is committed. The hook may refuse it.
    Before,
    /// Behind the commit: in the background, at least once, perhaps by another process.
    After,
}

/// A point at which hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HookPoint {
    /// On which side of the change.
    pub when: When,
    /// Of which change.
    pub change: HookedChange,
}

impl HookPoint {
    /// The six points.
    pub const ALL: [Self; 6] = [
        Self::before(HookedChange::Start),
        Self::after(HookedChange::Start),
        Self::before(HookedChange::Complete),
        Self::after(HookedChange::Complete),
        Self::before(HookedChange::Fail),
        Self::after(HookedChange::Fail),
    ];

    /// The point before a change.
    pub const fn before(change: HookedChange) -> Self {
        Self { when: When::Before, change }
    }

    /// The point behind a change.
    pub const fn after(change: HookedChange) -> Self {
        Self { when: When::After, change }
    }

    /// The point behind the change that an event is about, if it is about one.
    pub const fn behind(event: &EventPayload) -> Option<Self> {
        let change = match event {
            EventPayload::Task(TaskEvent::Started) => HookedChange::Start,
            EventPayload::Task(TaskEvent::Completed { .. }) => HookedChange::Complete,
            EventPayload::Task(TaskEvent::Failed { .. }) => HookedChange::Fail,
            _ => return None,
        };
        Some(Self::after(change))
    }

    /// The event that says that the point is reached.
    pub const fn event(self) -> HookEvent {
        match (self.when, self.change) {
            (When::Before, HookedChange::Start) => HookEvent::BeforeStart,
            (When::After, HookedChange::Start) => HookEvent::AfterStart,
            (When::Before, HookedChange::Complete) => HookEvent::BeforeComplete,
            (When::After, HookedChange::Complete) => HookEvent::AfterComplete,
            (When::Before, HookedChange::Fail) => HookEvent::BeforeFail,
            (When::After, HookedChange::Fail) => HookEvent::AfterFail,
        }
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.event().name();
        f.write_str(name.split_once(':').map_or(name, |(_, point)| point))
    }
}

/// Why a hook refuses a change, or could not do what it is for: in words for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HookFailure(pub String);

/// Code that runs at a point of every task's life.
#[async_trait]
pub trait Hook: Send + Sync + fmt::Debug {
    /// What it is called, in events and errors.
    fn name(&self) -> &str;

    /// When it runs.
    fn point(&self) -> HookPoint;

    /// Its place among the hooks of its point: low ones run first, equal ones in the order in which
    /// they were registered.
    fn priority(&self) -> i32 {
        0
    }

    /// How long it may take. One that takes longer has failed.
    fn limit(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Runs. The task is as it was before the change, or as it is when an after-hook gets to run.
    /// A before-hook runs while the task is locked: it must not ask for a change of the same task.
    ///
    /// # Errors
    /// Before a change: the change is refused. Behind one: the failure is noted, and the hooks
    /// behind it run all the same.
    async fn run(&self, task: &Task) -> Result<(), HookFailure>;
}

#[cfg(test)]
mod tests {
    use super::*;

    // R34
    #[test]
    fn the_six_points_are_six_events_of_their_names() {
        let names = HookPoint::ALL.map(|point| point.event().name());
        assert_eq!(
            names,
            [
                "task:beforeStart",
                "task:afterStart",
                "task:beforeComplete",
                "task:afterComplete",
                "task:beforeFail",
                "task:afterFail",
            ]
        );
        assert_eq!(HookPoint::ALL[0].to_string(), "beforeStart");
    }
}
