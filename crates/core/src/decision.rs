//! Decisions about a task: what was decided, why, and what else could have been done.

use serde::{Deserialize, Serialize};

use crate::error::{Code, Diagnostic};
use crate::id::AgentId;
use crate::time::Timestamp;

/// A decision about a task. Its texts come from agents, so they are bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Decision {
    what: String,
    why: String,
    alternatives: Vec<String>,
    by: AgentId,
    at: Timestamp,
}

/// A decision as somebody gave it.
#[derive(Deserialize)]
struct Unchecked {
    what: String,
    why: String,
    alternatives: Vec<String>,
    by: AgentId,
    at: Timestamp,
}

/// Why something cannot be noted as a decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDecision {
    /// It says nothing.
    #[error("a decision has to say what was decided")]
    SaysNothing,
    /// One of its texts is too long.
    #[error("`{field}` of a decision has {bytes} bytes, and may have {limit}", limit = Decision::MAX_TEXT_BYTES)]
    TooLong {
        /// Which text.
        field: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// It has too many alternatives.
    #[error("a decision has {count} alternatives, and may have {limit}", limit = Decision::MAX_ALTERNATIVES)]
    TooManyAlternatives {
        /// How many.
        count: usize,
    },
}

impl Diagnostic for InvalidDecision {
    fn code(&self) -> Code {
        Code::ArgumentInvalid
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::SaysNothing => "Say in a sentence what was decided.".to_owned(),
            Self::TooLong { .. } => {
                "Say it in fewer words, and keep the rest in a file of the workspace.".to_owned()
            }
            Self::TooManyAlternatives { .. } => {
                "Keep the alternatives that were seriously considered.".to_owned()
            }
        })
    }
}

impl Decision {
    /// The longest that each of its texts may be, in bytes.
    pub const MAX_TEXT_BYTES: usize = 16 * 1024;
    /// The most alternatives that it may have.
    pub const MAX_ALTERNATIVES: usize = 32;

    /// Takes a decision, if it says something and is not too long.
    ///
    /// # Errors
    /// [`InvalidDecision`] when it is not.
    pub fn new(
        what: String,
        why: String,
        alternatives: Vec<String>,
        by: AgentId,
        at: Timestamp,
    ) -> Result<Self, InvalidDecision> {
        if what.trim().is_empty() {
            return Err(InvalidDecision::SaysNothing);
        }
        if alternatives.len() > Self::MAX_ALTERNATIVES {
            return Err(InvalidDecision::TooManyAlternatives { count: alternatives.len() });
        }
        let texts = [("what", &what), ("why", &why)]
            .into_iter()
            .chain(alternatives.iter().map(|text| ("alternatives", text)));
        for (field, text) in texts {
            if text.len() > Self::MAX_TEXT_BYTES {
                return Err(InvalidDecision::TooLong { field, bytes: text.len() });
            }
        }
        Ok(Self { what, why, alternatives, by, at })
    }

    /// What was decided.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Why. May be empty.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What else could have been done.
    pub fn alternatives(&self) -> &[String] {
        &self.alternatives
    }

    /// Who decided: an agent, or a person by the name under which they work in tasks.
    pub const fn by(&self) -> &AgentId {
        &self.by
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}

impl TryFrom<Unchecked> for Decision {
    type Error = InvalidDecision;

    fn try_from(given: Unchecked) -> Result<Self, InvalidDecision> {
        Self::new(given.what, given.why, given.alternatives, given.by, given.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(what: &str, why: &str, alternatives: &[&str]) -> Result<Decision, InvalidDecision> {
        let alternatives = alternatives.iter().map(|text| (*text).to_owned()).collect();
        let by = AgentId::parse("claude-1").unwrap();
        Decision::new(what.to_owned(), why.to_owned(), alternatives, by, Timestamp::from_millis(1))
    }

    // R22, R95
    #[test]
    fn a_decision_says_something_and_is_bounded() {
        let long = "x".repeat(Decision::MAX_TEXT_BYTES);
        assert!(decide(&long, &long, &[long.as_str(); Decision::MAX_ALTERNATIVES]).is_ok());
        assert!(decide("a", "", &[""]).is_ok());
        let longer = format!("{long}x");
        let bytes = longer.len();
        for (decided, expected) in [
            (decide("", "b", &[]), InvalidDecision::SaysNothing),
            (decide(" \n", "b", &[]), InvalidDecision::SaysNothing),
            (decide(&longer, "b", &[]), InvalidDecision::TooLong { field: "what", bytes }),
            (decide("a", &longer, &[]), InvalidDecision::TooLong { field: "why", bytes }),
            (
                decide("a", "b", &["c", &longer]),
                InvalidDecision::TooLong { field: "alternatives", bytes },
            ),
            (
                decide("a", "b", &["c"; Decision::MAX_ALTERNATIVES + 1]),
                InvalidDecision::TooManyAlternatives { count: Decision::MAX_ALTERNATIVES + 1 },
            ),
        ] {
            assert_eq!(decided.unwrap_err(), expected);
        }
    }

    #[test]
    fn a_decision_that_is_not_allowed_is_not_read_from_json_either() {
        let json = serde_json::to_value(decide("a", "b", &["c"]).unwrap()).unwrap();
        assert!(serde_json::from_value::<Decision>(json.clone()).is_ok());
        let mut empty = json;
        empty["what"] = "".into();
        assert!(serde_json::from_value::<Decision>(empty).is_err());
    }
}
