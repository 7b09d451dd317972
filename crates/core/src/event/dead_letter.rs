//! Events that a consumer gave up on.

use std::fmt;
use std::str::FromStr;

use crate::error::{Code, Diagnostic};
use crate::event::Seq;
use crate::time::Timestamp;

/// An event that a consumer could not deal with, kept until somebody retries or purges it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which event, and who gave up on it.
    pub id: DeadLetterId,
    /// What went wrong the last time.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it was given up.
    pub at: Timestamp,
}

/// Names a dead letter: `audit/17` is event 17, which the consumer `audit` gave up on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterId {
    /// Who gave up.
    pub consumer: String,
    /// On which event.
    pub seq: Seq,
}

/// A text that names no dead letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names no dead letter", .0.escape_debug())]
pub struct InvalidDeadLetterId(String);

impl Diagnostic for InvalidDeadLetterId {
    fn code(&self) -> Code {
        Code::IdInvalid
    }

    fn next_step(&self) -> Option<String> {
        Some("Use an id that `armor dlq list` shows, such as audit/17.".to_owned())
    }
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.consumer, self.seq)
    }
}

impl FromStr for DeadLetterId {
    type Err = InvalidDeadLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidDeadLetterId> {
        let parse = || {
            let (consumer, seq) = text.rsplit_once('/')?;
            let id = Self { consumer: consumer.to_owned(), seq: Seq(seq.parse().ok()?) };
            (!consumer.is_empty() && id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| InvalidDeadLetterId(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_anything_else_refused() {
        let id: DeadLetterId = "state.json/17".parse().unwrap();
        assert_eq!((id.consumer.as_str(), id.seq), ("state.json", Seq(17)));
        for text in ["", "17", "/17", "audit/", "audit/+1", "audit/01", "audit/x"] {
            assert!(text.parse::<DeadLetterId>().is_err(), "{text}");
        }
    }
}
