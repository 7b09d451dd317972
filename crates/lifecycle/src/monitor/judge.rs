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

/// What is to be told or done about a use.
#[derive(Debug)]
pub(super) enum Step {
    Tell(SandboxEvent),
    Act(MonitorAction),
}

/// What was seen of one sandbox so far.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    above: BTreeMap<Resource, Above>,
}

/// A sandbox that is above a threshold.
#[derive(Debug, Clone)]
struct Above {
    since: Timestamp,
    is_warned: bool,
    /// How much it took when it was last told that it takes too much.
    told_at: Option<u64>,
    /// How much it took when something was last done about that.
    done_at: Option<u64>,
}

impl History {
    /// What is to be told and done about a use, as it is now: again and again what is not
    /// [noted](Self::note). Each event comes once, until the use has been less; but something is done
    /// again about a disk of which even more is taken, and not while somebody cleans up.
    pub(super) fn judge(
        &mut self,
        share: Use,
        settings: &MonitorSettings,
        now: Timestamp,
    ) -> Vec<Step> {
        let percent = settings.percent(share.resource);
        if !share.is_above(percent.saturating_sub(BACK)) {
            self.above.remove(&share.resource);
            return Vec::new();
        }
        if share.is_above(percent) {
            let first = Above { since: now, is_warned: false, told_at: None, done_at: None };
            self.above.entry(share.resource).or_insert(first);
        }
        let Some(above) = self.above.get(&share.resource) else { return Vec::new() };
        let mut steps = Vec::new();
        if !above.is_warned {
            steps.push(Step::Tell(SandboxEvent::ShareHigh { share }));
        }
        let is_disk = share.resource == Resource::Disk;
        let (is_too_much, action) = if is_disk {
            (share.is_above(100), settings.disk_action)
        } else {
            let is_long = share.is_above(percent) && now.since(above.since) >= PATIENCE;
            (is_long && settings.action != MonitorAction::Warn, settings.action)
        };
        let is_more = |before: Option<u64>| {
            before.is_none_or(|before| {
                is_disk && share.used.saturating_sub(before) > share.limit / MORE
            })
        };
        if is_too_much && is_more(above.done_at) {
            // What failed is done again, and not told again.
            if is_more(above.told_at) {
                steps.push(Step::Tell(SandboxEvent::ShareExceeded { share, action }));
            }
            steps.push(Step::Act(action));
        }
        steps
    }

    /// Notes that a step which followed from a use was taken.
    pub(super) fn note(&mut self, share: Use, step: &Step) {
        let Some(above) = self.above.get_mut(&share.resource) else { return };
        match step {
            Step::Tell(SandboxEvent::ShareExceeded { .. }) => above.told_at = Some(share.used),
            Step::Tell(_) => above.is_warned = true,
            Step::Act(_) => above.done_at = Some(share.used),
        }
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

    fn share(resource: Resource, used: u64) -> Use {
        Use { resource, used, limit: 100 }
    }

    fn judge(history: &mut History, share: Use, second: i64) -> Vec<Step> {
        history.judge(share, &SETTINGS, Timestamp::from_millis(second * 1000))
    }

    fn name(step: &Step) -> String {
        match step {
            Step::Tell(SandboxEvent::ShareHigh { .. }) => "high".to_owned(),
            Step::Tell(SandboxEvent::ShareExceeded { action, .. }) => format!("told {action:?}"),
            Step::Tell(other) => format!("{other:?}"),
            Step::Act(action) => format!("{action:?}"),
        }
    }

    /// What follows from a use, where all of that is done.
    fn names(history: &mut History, resource: Resource, used: u64, second: i64) -> Vec<String> {
        let share = share(resource, used);
        let steps = judge(history, share, second);
        for step in &steps {
            history.note(share, step);
        }
        steps.iter().map(name).collect()
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
        assert_eq!(seen(90, 61), ["told Pause", "Pause"]);
        assert_eq!(seen(90, 200), [""; 0]);
        assert_eq!(seen(80, 210), [""; 0]);
        assert_eq!(seen(90, 220), ["high"]);
    }

    #[test]
    fn too_much_disk_is_acted_upon_whenever_it_is_more_and_not_while_it_becomes_less() {
        let mut history = History::default();
        let mut seen = |used, second| names(&mut history, Resource::Disk, used, second);
        assert_eq!(seen(100, 0), ["high"]);
        assert_eq!(seen(101, 1), ["told Stop", "Stop"]);
        assert_eq!(seen(103, 2), ["told Stop", "Stop"]);
        assert_eq!(seen(103, 3), [""; 0]);
        // A little more is what looking around takes.
        assert_eq!(seen(104, 3), [""; 0]);
        assert_eq!(seen(101, 4), [""; 0]);
        assert_eq!(seen(105, 5), ["told Stop", "Stop"]);
        assert_eq!(seen(50, 6), [""; 0]);
        assert_eq!(seen(101, 7), ["high", "told Stop", "Stop"]);
        let mut history = History::default();
        assert_eq!(names(&mut history, Resource::Disk, 300, 0), ["high", "told Stop", "Stop"]);
    }

    #[test]
    fn a_sandbox_that_was_stopped_and_runs_again_can_be_cleaned_up() {
        let mut history = History::default();
        assert_eq!(names(&mut history, Resource::Disk, 200, 0), ["high", "told Stop", "Stop"]);
        assert_eq!(names(&mut history, Resource::Memory, 90, 0), ["high"]);
        history.note_standstill();
        assert_eq!(names(&mut history, Resource::Disk, 200, 100), [""; 0]);
        assert_eq!(names(&mut history, Resource::Memory, 90, 100), ["high"]);
    }

    #[test]
    fn what_fails_is_done_again_and_told_once() {
        let mut history = History::default();
        let disk = share(Resource::Disk, 200);
        let steps = judge(&mut history, disk, 0);
        assert_eq!(steps.iter().map(name).collect::<Vec<_>>(), ["high", "told Stop", "Stop"]);
        // Nothing could be written: all of it is still to be done.
        let steps = judge(&mut history, disk, 10);
        assert_eq!(steps.iter().map(name).collect::<Vec<_>>(), ["high", "told Stop", "Stop"]);
        for step in &steps[..2] {
            history.note(disk, step);
        }
        for second in [20, 30] {
            let steps = judge(&mut history, disk, second);
            assert_eq!(steps.iter().map(name).collect::<Vec<_>>(), ["Stop"]);
        }
        // It has become less by itself.
        assert!(judge(&mut history, share(Resource::Disk, 50), 40).is_empty());
        assert_eq!(names(&mut history, Resource::Disk, 200, 50), ["high", "told Stop", "Stop"]);
        assert_eq!(names(&mut history, Resource::Disk, 200, 60), [""; 0]);
    }
}
