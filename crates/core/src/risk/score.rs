//! The score of a command, in parts, and what follows from it.

use serde::{Deserialize, Serialize};

use super::call::{Call, Read, read};
use super::circumstances::Circumstances;
use super::rules::{self, Hit};
use crate::execution::CommandLine;

/// For a command that could not be read to its end, so that nobody knows what else it does.
const OF_UNREAD: u32 = 25;

/// What a part of the risk is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskKind {
    /// Files go.
    Deletes,
    /// History, or the whole tree, becomes another one.
    Rewrites,
    /// Files are moved, or become other ones.
    Overwrites,
    /// Packages come, go or become other ones.
    Installs,
    /// Files or data are made or changed by a program that decides which.
    Generates,
    /// How much is meant.
    Breadth,
    /// Nobody knows what it does.
    Unread,
    /// What was done since the last checkpoint.
    Changes,
    /// How long ago that was.
    Time,
    /// How it went before.
    Failures,
}

impl RiskKind {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deletes => "deletes",
            Self::Rewrites => "rewrites",
            Self::Overwrites => "overwrites",
            Self::Installs => "installs",
            Self::Generates => "generates",
            Self::Breadth => "breadth",
            Self::Unread => "unread",
            Self::Changes => "changes",
            Self::Time => "time",
            Self::Failures => "failures",
        }
    }
}

/// A part of a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskPart {
    /// What it is about.
    pub kind: RiskKind,
    /// What it counts.
    pub points: u32,
    /// Why, in words. Nothing that the command was given is in it.
    pub why: String,
}

/// How risky a command is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Risk {
    /// The points of all parts together, but at most [`Self::MOST`].
    pub score: u32,
    /// What it is made of.
    pub parts: Vec<RiskPart>,
}

impl Risk {
    /// The highest score.
    pub const MOST: u32 = 100;

    /// That of a command in these circumstances.
    pub fn of(command: &CommandLine, circumstances: &Circumstances) -> Self {
        Self::of_command(command).under(circumstances)
    }

    /// That of a command by itself.
    pub fn of_command(command: &CommandLine) -> Self {
        let Read { calls, is_whole } = read(command);
        let mut parts = worst(&calls);
        if !is_whole {
            parts.push(RiskPart {
                kind: RiskKind::Unread,
                points: OF_UNREAD,
                why: "not all of it can be read".to_owned(),
            });
        }
        Self::sum(parts)
    }

    /// The same with what the circumstances add.
    #[must_use]
    pub fn under(self, circumstances: &Circumstances) -> Self {
        let mut parts = self.parts;
        parts.extend(circumstances.parts());
        Self::sum(parts)
    }

    /// Whether some circumstances bring it to the threshold.
    pub const fn can_reach(&self, threshold: u32) -> bool {
        self.score + Circumstances::MOST >= threshold
    }

    fn sum(parts: Vec<RiskPart>) -> Self {
        let sum = parts.iter().fold(0_u32, |sum, part| sum.saturating_add(part.points));
        Self { score: sum.min(Self::MOST), parts }
    }
}

/// What each rule says of the call that it says most of: to do the same twice is no more of a risk.
fn worst(calls: &[Call]) -> Vec<RiskPart> {
    let mut worst: Vec<Hit> = Vec::new();
    for hit in calls.iter().filter_map(rules::hit) {
        match worst.iter_mut().find(|known| known.rule == hit.rule) {
            Some(known) if known.points() < hit.points() => *known = hit,
            Some(_) => {}
            None => worst.push(hit),
        }
    }
    worst.into_iter().flat_map(Hit::parts).collect()
}

/// What was thought of a command before it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// Its score.
    pub score: u32,
    /// The score from which on a checkpoint is due.
    pub threshold: u32,
    /// What the score is made of.
    pub parts: Vec<RiskPart>,
}

impl Assessment {
    /// Of this risk.
    pub fn new(risk: Risk, threshold: u32) -> Self {
        Self { score: risk.score, threshold, parts: risk.parts }
    }

    /// Whether the score is high enough.
    pub const fn is_risky(&self) -> bool {
        self.score >= self.threshold
    }
}

/// Whether a checkpoint is taken before a command, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It is.
    Due,
    /// The score is below the threshold.
    BelowThreshold,
    /// No command ran since the last one, which has all that could be lost.
    NothingSince,
    /// None is taken by itself.
    SwitchedOff,
    /// The workspace is a folder of the user's own.
    UsersOwnFolder,
}

impl Decision {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::BelowThreshold => "below_threshold",
            Self::NothingSince => "nothing_since",
            Self::SwitchedOff => "switched_off",
            Self::UsersOwnFolder => "users_own_folder",
        }
    }

    /// In words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Due => "a checkpoint is taken first",
            Self::BelowThreshold => "no checkpoint: the score is below the threshold",
            Self::NothingSince => "no checkpoint: no command ran since the last one",
            Self::SwitchedOff => "no checkpoint: `checkpoint.automatic` is off",
            Self::UsersOwnFolder => "no checkpoint: the workspace is a folder of the user's own",
        }
    }
}
