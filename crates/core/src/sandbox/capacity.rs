//! What a runtime's machine has to share out, and what a sandbox gets of it.

use crate::sandbox::{Limits, RuntimeError};

/// What a runtime's machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Processor time, in thousandths of a core.
    pub cpu_millis: u32,
    /// Memory, in MiB; none where nobody tells.
    pub memory_mib: Option<u32>,
}

impl Capacity {
    /// These limits, or as much as there is where that is less.
    #[must_use]
    pub fn lower(self, limits: Limits) -> Limits {
        Limits {
            memory_mib: self.memory_mib.map_or(limits.memory_mib, |has| limits.memory_mib.min(has)),
            cpu_millis: limits.cpu_millis.min(self.cpu_millis),
            ..limits
        }
    }

    /// Whether there is as much as a sandbox may use.
    ///
    /// # Errors
    /// [`RuntimeError::Unsupported`] for the first of which there is less.
    pub fn check(self, limits: Limits) -> Result<(), RuntimeError> {
        if self.memory_mib.is_some_and(|has| limits.memory_mib > has) {
            return Err(RuntimeError::Unsupported {
                feature: "so much memory: its machine has less",
                next_step: "Ask for less (`--memory-mib`), or use an engine whose machine has more.",
            });
        }
        if limits.cpu_millis > self.cpu_millis {
            return Err(RuntimeError::Unsupported {
                feature: "so much processor time: its machine has fewer cores",
                next_step: "Ask for less (`--cpu-millis`), or use an engine whose machine has more.",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Capacity = Capacity { cpu_millis: 1_000, memory_mib: Some(1_024) };

    #[test]
    fn limits_are_lowered_to_what_there_is() {
        let limits = Limits::default();
        let lowered = SMALL.lower(limits);
        assert_eq!(lowered, Limits { cpu_millis: 1_000, memory_mib: 1_024, ..limits });
        assert!(SMALL.check(lowered).is_ok());
        let less = Limits { cpu_millis: 500, memory_mib: 256, ..limits };
        assert_eq!(SMALL.lower(less), less);
        let silent = Capacity { memory_mib: None, ..SMALL };
        assert_eq!(silent.lower(limits).memory_mib, limits.memory_mib);
        assert!(silent.check(silent.lower(limits)).is_ok());
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let all = Limits { cpu_millis: 1_000, memory_mib: 1_024, ..Limits::default() };
        assert!(SMALL.check(all).is_ok());
        for more in [Limits { cpu_millis: 1_001, ..all }, Limits { memory_mib: 1_025, ..all }] {
            assert!(matches!(SMALL.check(more), Err(RuntimeError::Unsupported { .. })));
        }
    }
}
