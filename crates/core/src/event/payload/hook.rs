//! What hooks are there for, and what they did.

use serde::{Deserialize, Serialize};

use crate::hook::HookPoint;

/// What hooks are there for, and what they did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum HookEvent {
    /// A task is about to start. It may still be refused.
    #[serde(rename = "task:beforeStart")]
    BeforeStart,
    /// A task has started.
    #[serde(rename = "task:afterStart")]
    AfterStart,
    /// A task is about to be completed. It may still be refused.
    #[serde(rename = "task:beforeComplete")]
    BeforeComplete,
    /// A task has been completed.
    #[serde(rename = "task:afterComplete")]
    AfterComplete,
    /// A task is about to fail. It may still be refused.
    #[serde(rename = "task:beforeFail")]
    BeforeFail,
    /// A task has failed.
    #[serde(rename = "task:afterFail")]
    AfterFail,
    /// A hook refused a change, which did not happen.
    #[serde(rename = "hook:refused")]
    Refused {
        /// Where.
        point: HookPoint,
        /// What the hook is called.
        hook: String,
        /// Why.
        reason: String,
    },
    /// A hook behind a change failed.
    #[serde(rename = "hook:failed")]
    Failed {
        /// Where.
        point: HookPoint,
        /// What the hook is called.
        hook: String,
        /// Why.
        reason: String,
    },
}

impl HookEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BeforeStart => "task:beforeStart",
            Self::AfterStart => "task:afterStart",
            Self::BeforeComplete => "task:beforeComplete",
            Self::AfterComplete => "task:afterComplete",
            Self::BeforeFail => "task:beforeFail",
            Self::AfterFail => "task:afterFail",
            Self::Refused { .. } => "hook:refused",
            Self::Failed { .. } => "hook:failed",
        }
    }
}
