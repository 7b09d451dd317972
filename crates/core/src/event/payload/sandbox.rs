//! What happened to a task's sandbox.

use serde::{Deserialize, Serialize};

use crate::id::SandboxId;
use crate::sandbox::{ImageName, MonitorAction, NetworkMode, Use};

/// What happened to a task's sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum SandboxEvent {
    /// It was made and started.
    #[serde(rename = "sandbox:created")]
    Created {
        /// The runtime's name for it.
        sandbox: SandboxId,
        /// What it runs.
        image: ImageName,
        /// What it reaches.
        network: NetworkMode,
    },
    /// It was there and not running, and was started again.
    #[serde(rename = "sandbox:restarted")]
    Restarted {
        /// The runtime's name for it.
        sandbox: SandboxId,
    },
    /// It takes much of its share of something.
    #[serde(rename = "sandbox:shareHigh")]
    ShareHigh {
        /// How much.
        #[serde(flatten)]
        share: Use,
    },
    /// It took too much, and something was done about it.
    #[serde(rename = "sandbox:shareExceeded")]
    ShareExceeded {
        /// How much.
        #[serde(flatten)]
        share: Use,
        /// What was done.
        action: MonitorAction,
    },
    /// It was gone although the task runs; another one is made.
    #[serde(rename = "sandbox:lost")]
    Lost,
}

impl SandboxEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "sandbox:created",
            Self::Restarted { .. } => "sandbox:restarted",
            Self::ShareHigh { .. } => "sandbox:shareHigh",
            Self::ShareExceeded { .. } => "sandbox:shareExceeded",
            Self::Lost => "sandbox:lost",
        }
    }
}
