//! What makes the same command riskier: how much could be lost, and how it went so far.

use std::time::Duration;

use super::score::{RiskKind, RiskPart};

/// For each command that ran since the last checkpoint, up to so many of them.
const OF_A_COMMAND: u32 = 3;
const MOST_OF_COMMANDS: u32 = 15;
/// For so many minutes since then, so many points.
const OF_MINUTES: &[(u64, u32)] = &[(1, 2), (5, 4), (15, 7), (30, 10), (60, 12), (240, 15)];
const MOST_OF_TIME: u32 = 15;
/// One for each of the last commands that failed, up to so many.
const MOST_OF_FAILURES: u32 = 5;

/// In which a command is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// How long ago the task's last checkpoint was taken; none when there is none.
    pub since: Option<Duration>,
    /// How many of the task's commands have begun or ended since, or run.
    pub commands: u32,
    /// How many of the last ones failed.
    pub failures: u32,
}

impl Circumstances {
    /// How many points they can be.
    pub const MOST: u32 = MOST_OF_COMMANDS + MOST_OF_TIME + MOST_OF_FAILURES;
    /// How many commands are looked at for failures.
    pub const LOOKED_AT: usize = 10;

    /// What they add to the risk of a command.
    pub(super) fn parts(&self) -> Vec<RiskPart> {
        let changes = RiskPart {
            kind: RiskKind::Changes,
            points: self.commands.saturating_mul(OF_A_COMMAND).min(MOST_OF_COMMANDS),
            why: match self.commands {
                1 => "1 command ran since the last checkpoint".to_owned(),
                count => format!("{count} commands ran since the last checkpoint"),
            },
        };
        let time = match self.since {
            None => RiskPart {
                kind: RiskKind::Time,
                points: MOST_OF_TIME,
                why: "there is no checkpoint yet".to_owned(),
            },
            Some(since) => RiskPart {
                kind: RiskKind::Time,
                points: of_time(since),
                why: format!("the last checkpoint was taken {} min ago", since.as_secs() / 60),
            },
        };
        let failures = RiskPart {
            kind: RiskKind::Failures,
            points: self.failures.min(MOST_OF_FAILURES),
            why: format!("of the last {} commands, {} failed", Self::LOOKED_AT, self.failures),
        };
        [changes, time, failures].into_iter().filter(|part| part.points > 0).collect()
    }
}

fn of_time(since: Duration) -> u32 {
    let minutes = since.as_secs() / 60;
    let reached = OF_MINUTES.iter().take_while(|(least, _)| *least <= minutes);
    reached.last().map_or(0, |(_, points)| *points)
}
