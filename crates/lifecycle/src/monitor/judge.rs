//! What follows from what a sandbox takes.

use std::collections::BTreeMap;
use std::time::Duration;

use armor_core::config::MonitorSettings;
use armor_core::event::SandboxEvent;
use armor_core::sandbox::{MonitorAction, Resource, Use};
use armor_core::time::Timestamp;

/// How long a sandbox may be above a threshold before something is done about it.
const PATIENCE: Duration = Duration::from_mins(1);
/// How far below a threshold it has to come before it is warned again, in hundredths of the share.
const BACK: u32 = 5;
/// Which part of the limit more of the disk is, for something to be done again: looking what to remove
/// takes a little, since what commands say is kept.
const MORE: u64 = 100;

/// What was seen of one sandbox so far.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// Since when it is above a threshold, and how much it took when something was done about that.
    above: BTreeMap<Resource, (Timestamp, Option<u64>)>,
}

impl History {
    /// What is to be told and done about a use, as it is now. Each event comes once, until the use has
    /// been less; but something is done again about a disk of which even more is taken, and not while
    /// somebody cleans up.
    pub(super) fn judge(
        &mut self,
        share: Use,
        settings: &MonitorSettings,
        now: Timestamp,
    ) -> Vec<SandboxEvent> {
        let percent = settings.percent(share.resource);
        if !share.is_above(percent.saturating_sub(BACK)) {
            self.above.remove(&share.resource);
            return Vec::new();
        }
        let mut events = Vec::new();
        if share.is_above(percent) && !self.above.contains_key(&share.resource) {
            self.above.insert(share.resource, (now, None));
            events.push(SandboxEvent::ShareHigh { share });
        }
        let Some((since, done_at)) = self.above.get_mut(&share.resource) else { return events };
        let (is_due, action) = if share.resource == Resource::Disk {
            let is_more =
                done_at.is_none_or(|before| share.used.saturating_sub(before) > share.limit / MORE);
            (share.is_above(100) && is_more, settings.disk_action)
        } else {
            let is_long = share.is_above(percent) && now.since(*since) >= PATIENCE;
            (
                is_long && done_at.is_none() && settings.action != MonitorAction::Warn,
                settings.action,
            )
        };
        if is_due {
            *done_at = Some(share.used);
            events.push(SandboxEvent::ShareExceeded { share, action });
        }
        events
    }

    /// Forgets what ended with a sandbox's processes. What it takes of the disk did not.
    pub(super) fn note_standstill(&mut self) {
        self.above.retain(|resource, _| *resource == Resource::Disk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: MonitorSettings = MonitorSettings {
        action: MonitorAction::Pause,
        cpu_percent: 80,
        disk_action: MonitorAction::Stop,
        disk_mib: 1,
        memory_percent: 85,
        pids_percent: 80,
    };

    fn names(history: &mut History, resource: Resource, used: u64, second: i64) -> Vec<String> {
        let share = Use { resource, used, limit: 100 };
        let events = history.judge(share, &SETTINGS, Timestamp::from_millis(second * 1000));
        events
            .into_iter()
            .map(|event| match event {
                SandboxEvent::ShareHigh { .. } => "high".to_owned(),
                SandboxEvent::ShareExceeded { action, .. } => format!("{action:?}"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_sandbox_is_warned_once_and_acted_upon_when_it_stays_above_the_threshold() {
        let mut history = History::default();
        let mut seen = |used, second| names(&mut history, Resource::Memory, used, second);
        assert_eq!(seen(85, 0), [""; 0]);
        assert_eq!(seen(86, 1), ["high"]);
        assert_eq!(seen(99, 30), [""; 0]);
        // Not far enough below to count as less.
        assert_eq!(seen(82, 40), [""; 0]);
        assert_eq!(seen(90, 61), ["Pause"]);
        assert_eq!(seen(90, 200), [""; 0]);
        assert_eq!(seen(80, 210), [""; 0]);
        assert_eq!(seen(90, 220), ["high"]);
    }

    #[test]
    fn too_much_disk_is_acted_upon_whenever_it_is_more_and_not_while_it_becomes_less() {
        let mut history = History::default();
        let mut seen = |used, second| names(&mut history, Resource::Disk, used, second);
        assert_eq!(seen(100, 0), ["high"]);
        assert_eq!(seen(101, 1), ["Stop"]);
        assert_eq!(seen(103, 2), ["Stop"]);
        assert_eq!(seen(103, 3), [""; 0]);
        // A little more is what looking around takes.
        assert_eq!(seen(104, 3), [""; 0]);
        assert_eq!(seen(101, 4), [""; 0]);
        assert_eq!(seen(105, 5), ["Stop"]);
        assert_eq!(seen(50, 6), [""; 0]);
        assert_eq!(seen(101, 7), ["high", "Stop"]);
        let mut history = History::default();
        assert_eq!(names(&mut history, Resource::Disk, 300, 0), ["high", "Stop"]);
    }

    #[test]
    fn a_sandbox_that_was_stopped_and_runs_again_can_be_cleaned_up() {
        let mut history = History::default();
        assert_eq!(names(&mut history, Resource::Disk, 200, 0), ["high", "Stop"]);
        assert_eq!(names(&mut history, Resource::Memory, 90, 0), ["high"]);
        history.note_standstill();
        assert_eq!(names(&mut history, Resource::Disk, 200, 100), [""; 0]);
        assert_eq!(names(&mut history, Resource::Memory, 90, 100), ["high"]);
    }
}
