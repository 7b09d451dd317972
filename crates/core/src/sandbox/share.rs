//! What a sandbox has a share of, and what is done when it takes much of that.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a sandbox has a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Memory, in bytes.
    Memory,
    /// Processor time, in thousandths of a core.
    Cpu,
    /// Processes and threads.
    Pids,
    /// The host's disk, by a task's files and the output that is kept of its commands, in bytes.
    Disk,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
            Self::Disk => "disk",
        })
    }
}

/// How much of a share is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Of what.
    pub resource: Resource,
    /// How much, in the resource's own measure.
    pub used: u64,
    /// The whole share.
    pub limit: u64,
}

impl Use {
    /// Whether more than so many hundredths of the share are in use.
    pub fn is_above(&self, percent: u32) -> bool {
        u128::from(self.used) * 100 > u128::from(self.limit) * u128::from(percent)
    }
}

/// What is done to a sandbox that takes too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MonitorAction {
    /// Nothing but the event.
    Warn,
    /// Its processes stand still, until the next command.
    Pause,
    /// Its processes are ended, and how its commands ended is noted.
    Stop,
    /// Its processes are killed at once.
    Kill,
}

impl MonitorAction {
    /// Their names, as in the settings.
    pub const NAMES: &'static [&'static str] = &["warn", "pause", "stop", "kill"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_its_name_in_the_settings() {
        use MonitorAction::{Kill, Pause, Stop, Warn};
        let named: Vec<_> =
            [Warn, Pause, Stop, Kill].map(|action| serde_json::json!(action)).into();
        assert_eq!(named, MonitorAction::NAMES);
    }
}
