//! Which checkpoints stay, as pure functions.

use std::collections::BTreeSet;

use crate::checkpoint::Checkpoint;
use crate::time::Timestamp;

/// How many checkpoints of a task stay. One stays if any of these rules keeps it; those that are pinned
/// or have a name stay in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest ones.
    pub last: u32,
    /// The newest one of each of so many hours, days and weeks (UTC, from Monday on) that have any.
    pub hourly: u32,
    /// See [`Self::hourly`].
    pub daily: u32,
    /// See [`Self::hourly`].
    pub weekly: u32,
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// 1970-01-01 was a Thursday.
const SINCE_MONDAY: i64 = 3 * DAY;

impl Retention {
    /// Those of one task's checkpoints that go, the oldest first. The newest never does.
    pub fn goes<'a>(&self, checkpoints: &'a [Checkpoint]) -> Vec<&'a Checkpoint> {
        let mut newest_first: Vec<_> = checkpoints.iter().collect();
        newest_first.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        let mut periods = [
            Periods::new(self.hourly, |seconds| seconds.div_euclid(HOUR)),
            Periods::new(self.daily, |seconds| seconds.div_euclid(DAY)),
            Periods::new(self.weekly, |seconds| (seconds + SINCE_MONDAY).div_euclid(7 * DAY)),
        ];
        let mut goes: Vec<_> = newest_first
            .into_iter()
            .enumerate()
            .filter(|(place, one)| {
                // Each rule has to see each of them.
                let kept = periods.each_mut().map(|rule| rule.keeps(one.created_at));
                let is_among_last = *place < self.last.max(1) as usize;
                !(is_among_last || one.is_held() || kept.contains(&true))
            })
            .map(|(_, one)| one)
            .collect();
        goes.reverse();
        goes
    }
}

/// A rule that keeps the newest of each of so many periods.
struct Periods {
    left: u32,
    of: fn(i64) -> i64,
    last: Option<i64>,
}

impl Periods {
    const fn new(left: u32, of: fn(i64) -> i64) -> Self {
        Self { left, of, last: None }
    }

    /// Is asked for each checkpoint, the newest first.
    fn keeps(&mut self, at: Timestamp) -> bool {
        let period = (self.of)(at.as_micros().div_euclid(1_000_000));
        if self.left == 0 || self.last == Some(period) {
            return false;
        }
        self.last = Some(period);
        self.left -= 1;
        true
    }
}

/// Tells the checkpoints of all tasks that stay however much room they take (those that are pinned or
/// have a name, and the newest of each task) from the others. Both come with the newest first.
pub fn by_worth(mut checkpoints: Vec<Checkpoint>) -> (Vec<Checkpoint>, Vec<Checkpoint>) {
    checkpoints.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let mut tasks = BTreeSet::new();
    checkpoints.into_iter().partition(|one| {
        let is_newest = tasks.insert(one.task.clone());
        is_newest || one.is_held()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint::CheckpointCause;

    const SOME: Retention = Retention { last: 3, hourly: 4, daily: 3, weekly: 2 };

    fn at(task: &str, number: usize, seconds: i64) -> Checkpoint {
        Checkpoint {
            id: format!("c-{number:05}").parse().unwrap(),
            task: task.parse().unwrap(),
            name: None,
            cause: CheckpointCause::Asked,
            parent: None,
            created_at: Timestamp::from_micros(seconds * 1_000_000),
            files: 0,
            bytes: 0,
            bytes_added: 0,
            left_out: 0,
            pinned: false,
        }
    }

    fn every(seconds: i64, count: usize) -> Vec<Checkpoint> {
        (0..count).map(|number| at("t", number, i64::try_from(number).unwrap() * seconds)).collect()
    }

    /// The ages of those that stay, in steps of what lies between two.
    fn ages(retention: &Retention, checkpoints: &[Checkpoint]) -> Vec<usize> {
        let goes: Vec<_> = retention.goes(checkpoints).into_iter().map(|one| &one.id).collect();
        let ages = checkpoints.iter().rev().enumerate().filter(|(_, one)| !goes.contains(&&one.id));
        ages.map(|(age, _)| age).collect()
    }

    // R23
    #[test]
    fn the_last_ones_stay_and_one_of_each_hour_day_and_week() {
        // Every half hour for 100 days, the last one at 1970-04-10T23:30, a Friday.
        let all = every(HOUR / 2, 48 * 100);
        let days = [48, 96];
        let weeks = [5 * 48];
        let expected: Vec<_> =
            [0, 1, 2].into_iter().chain([4, 6]).chain(days).chain(weeks).collect();
        assert_eq!(ages(&SOME, &all), expected);
    }

    #[test]
    fn periods_without_a_checkpoint_do_not_count() {
        let all = every(30 * DAY, 10);
        assert_eq!(
            ages(&Retention { last: 1, hourly: 0, daily: 0, weekly: 4 }, &all),
            [0, 1, 2, 3]
        );
    }

    #[test]
    fn one_that_is_pinned_or_named_stays_and_so_does_the_newest() {
        let mut all = every(1, 10);
        all[2].pinned = true;
        all[4].name = Some("named".parse().unwrap());
        let none = Retention { last: 0, hourly: 0, daily: 0, weekly: 0 };
        assert_eq!(ages(&none, &all), [0, 5, 7]);
        assert!(none.goes(&[]).is_empty());
    }

    #[test]
    fn of_all_tasks_the_newest_and_those_that_are_held_are_worth_most() {
        let mut all =
            vec![at("a", 0, 5), at("a", 1, 9), at("b", 2, 1), at("b", 3, 2), at("a", 4, 3)];
        all[4].pinned = true;
        let (worth, others) = by_worth(all);
        let ids = |all: &[Checkpoint]| all.iter().map(|one| one.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(&worth), ["c-00001", "c-00004", "c-00003"]);
        assert_eq!(ids(&others), ["c-00000", "c-00002"]);
    }

    proptest! {
        // What goes would go again, and nothing more goes when it is gone; more rules keep more.
        #[test]
        fn a_second_look_finds_nothing_more(
            times in proptest::collection::vec(0_i64..40 * DAY, 0..60),
            last in 0_u32..5, hourly in 0_u32..5, daily in 0_u32..5, weekly in 0_u32..5,
        ) {
            let all: Vec<_> =
                times.into_iter().enumerate().map(|(number, time)| at("t", number, time)).collect();
            let some = Retention { last, hourly, daily, weekly };
            let goes: BTreeSet<_> = some.goes(&all).into_iter().map(|one| one.id.clone()).collect();
            let stays: Vec<_> = all.iter().filter(|one| !goes.contains(&one.id)).cloned().collect();
            prop_assert!(some.goes(&stays).is_empty());
            prop_assert!(stays.len() >= all.len().min(last.max(1) as usize));
            let more = Retention { daily: daily + 1, last: last + 1, ..some };
            prop_assert!(more.goes(&all).into_iter().all(|one| goes.contains(&one.id)));
        }
    }
}
