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
    /// The limits that a sandbox has here. What no task has to ask for, since it has it by `defaults`, is as
    /// much as there is where that is less; what was asked for beyond that stays as it is, for
    /// [`Self::check`].
    #[must_use]
    pub fn lower(self, asked: Limits, defaults: Limits) -> Limits {
        let lower = |asked: u32, default: u32, has: u32| {
            if asked > default { asked } else { asked.min(has) }
        };
        Limits {
            memory_mib: lower(
                asked.memory_mib,
                defaults.memory_mib,
                self.memory_mib.unwrap_or(u32::MAX),
            ),
            cpu_millis: lower(asked.cpu_millis, defaults.cpu_millis, self.cpu_millis),
            ..asked
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
    fn what_nobody_asked_for_is_as_much_as_there_is() {
        let defaults = Limits::default();
        let limits = SMALL.lower(defaults, defaults);
        assert_eq!(limits, Limits { cpu_millis: 1_000, memory_mib: 1_024, ..defaults });
        assert!(SMALL.check(limits).is_ok());
        let less = Limits { cpu_millis: 500, memory_mib: 256, ..defaults };
        assert_eq!(SMALL.lower(less, defaults), less);
        let silent = Capacity { memory_mib: None, ..SMALL };
        assert_eq!(silent.lower(defaults, defaults).memory_mib, defaults.memory_mib);
        assert!(silent.check(silent.lower(defaults, defaults)).is_ok());
    }

    #[test]
    fn what_was_asked_for_and_is_not_there_is_refused() {
        let defaults = Limits { cpu_millis: 500, memory_mib: 512, ..Limits::default() };
        for asked in
            [Limits { cpu_millis: 1_001, ..defaults }, Limits { memory_mib: 1_025, ..defaults }]
        {
            assert_eq!(SMALL.lower(asked, defaults), asked);
            assert!(matches!(SMALL.check(asked), Err(RuntimeError::Unsupported { .. })));
        }
        let all = Limits { cpu_millis: 1_000, memory_mib: 1_024, ..defaults };
        assert!(SMALL.check(all).is_ok());
    }
}
