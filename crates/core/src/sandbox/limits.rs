//! What a sandbox may use.

use serde::{Deserialize, Serialize};

use crate::sandbox::InvalidSandboxField;

/// What the commands of a sandbox may use, all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, in MiB; there is no swap beyond it.
    pub memory_mib: u32,
    /// Processor time, in thousandths of a core.
    pub cpu_millis: u32,
    /// Processes and threads at one time.
    pub pids: u32,
    /// Open files of one process.
    pub open_files: u32,
    /// Size of `/tmp`, which lies in memory, in MiB.
    pub tmp_mib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_mib: 2048, cpu_millis: 2000, pids: 512, open_files: 8192, tmp_mib: 512 }
    }
}

impl Limits {
    /// Each limit with its name in settings and arguments.
    pub(crate) fn named(self) -> [(&'static str, u32); 5] {
        [
            ("memory_mib", self.memory_mib),
            ("cpu_millis", self.cpu_millis),
            ("pids", self.pids),
            ("open_files", self.open_files),
            ("tmp_mib", self.tmp_mib),
        ]
    }

    /// The first limit that is above the same one of `most`: its name, itself, and that one.
    pub fn above(self, most: Self) -> Option<(&'static str, u32, u32)> {
        let pairs = self.named().into_iter().zip(most.named());
        pairs
            .map(|((name, asked), (_, most))| (name, asked, most))
            .find(|(_, asked, most)| asked > most)
    }

    /// The higher one of each limit.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            memory_mib: self.memory_mib.max(other.memory_mib),
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            pids: self.pids.max(other.pids),
            open_files: self.open_files.max(other.open_files),
            tmp_mib: self.tmp_mib.max(other.tmp_mib),
        }
    }

    /// Whether each limit is one that a sandbox can live with.
    ///
    /// # Errors
    /// For the first that is not.
    pub fn check(self) -> Result<Self, InvalidSandboxField> {
        let bounds = [(16, 1 << 22), (10, 1 << 20), (8, 1 << 20), (64, 1 << 20), (1, 1 << 20)];
        let mut limits = self.named().into_iter().zip(bounds);
        match limits.find(|((_, value), (min, max))| value < min || value > max) {
            None => Ok(self),
            Some(((name, value), (min, max))) => Err(InvalidSandboxField::Limit {
                name,
                value: value.into(),
                min: min.into(),
                max: max.into(),
            }),
        }
    }
}

/// The limits that somebody asked for; the others are for the settings to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskedLimits {
    /// As [`Limits::memory_mib`].
    pub memory_mib: Option<u32>,
    /// As [`Limits::cpu_millis`].
    pub cpu_millis: Option<u32>,
    /// As [`Limits::pids`].
    pub pids: Option<u32>,
    /// As [`Limits::open_files`].
    pub open_files: Option<u32>,
    /// As [`Limits::tmp_mib`].
    pub tmp_mib: Option<u32>,
}

impl AskedLimits {
    /// With what was not asked for as others have it.
    pub fn or(self, others: Limits) -> Limits {
        Limits {
            memory_mib: self.memory_mib.unwrap_or(others.memory_mib),
            cpu_millis: self.cpu_millis.unwrap_or(others.cpu_millis),
            pids: self.pids.unwrap_or(others.pids),
            open_files: self.open_files.unwrap_or(others.open_files),
            tmp_mib: self.tmp_mib.unwrap_or(others.tmp_mib),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_limit_above_what_may_be_is_named() {
        let most = Limits::default();
        assert_eq!(most.above(most), None);
        let asked = Limits { pids: 513, tmp_mib: 1 << 20, ..most };
        assert_eq!(asked.above(most), Some(("pids", 513, 512)));
        assert_eq!(asked.above(most.max(asked)), None);
    }

    #[test]
    fn a_limit_out_of_bounds_is_named_with_its_bounds() {
        let error = Limits { pids: 1, ..Limits::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "the limit pids = 1 is not between 8 and 1048576");
        assert!(Limits::default().check().is_ok());
    }
}
