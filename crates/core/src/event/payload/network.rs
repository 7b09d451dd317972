//! What a task was let reach, and what not.

use serde::{Deserialize, Serialize};

use crate::network::{Refusal, Rule, Verdict};

/// What a task was let reach, and what not. What comes in quick succession is one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum NetworkEvent {
    /// A rule was added for the task.
    #[serde(rename = "network:ruled")]
    Ruled {
        /// The rule.
        rule: Rule,
        /// Whether it lets through.
        verdict: Verdict,
    },
    /// Connections were let through.
    #[serde(rename = "network:allowed")]
    Allowed {
        /// Where to, `host:port`.
        to: String,
        /// How many began.
        connections: u64,
        /// Bytes that the sandbox sent, of these and of earlier ones.
        sent_bytes: u64,
        /// Bytes that it received.
        received_bytes: u64,
    },
    /// Connections were refused.
    #[serde(rename = "network:denied")]
    Denied {
        /// Where to, `host:port`.
        to: String,
        /// Why.
        reason: Refusal,
        /// How often.
        times: u64,
    },
    /// Connections were let through and came to nothing.
    #[serde(rename = "network:failed")]
    Failed {
        /// Where to, `host:port`.
        to: String,
        /// What the system said.
        reason: String,
        /// How often.
        times: u64,
    },
}

impl NetworkEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ruled { .. } => "network:ruled",
            Self::Allowed { .. } => "network:allowed",
            Self::Denied { .. } => "network:denied",
            Self::Failed { .. } => "network:failed",
        }
    }
}
