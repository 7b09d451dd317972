//! Patterns on the names of events: `task:created`, `task:*`, `*:failed`, `**`.

use std::str::FromStr;

use crate::error::{Code, Diagnostic};

/// Which events somebody wants, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    family: Part,
    fact: Part,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Any,
    Exactly(String),
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no event pattern", .0.escape_debug())]
pub struct InvalidPattern(String);

impl Diagnostic for InvalidPattern {
    fn code(&self) -> Code {
        Code::ArgumentInvalid
    }

    fn next_step(&self) -> Option<String> {
        Some("Use a name such as task:created, or task:*, *:failed, **.".to_owned())
    }
}

impl Pattern {
    /// Every event.
    pub const ALL: Self = Self { family: Part::Any, fact: Part::Any };

    /// Whether an event of this name is wanted.
    pub fn matches(&self, name: &str) -> bool {
        let (family, fact) = name.split_once(':').unwrap_or((name, ""));
        self.family.matches(family) && self.fact.matches(fact)
    }
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Self::Any),
            word if !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric()) => {
                Some(Self::Exactly(word.to_owned()))
            }
            _ => None,
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(word) => word == text,
        }
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text == "**" {
            return Ok(Self::ALL);
        }
        text.split_once(':')
            .and_then(|(family, fact)| {
                Some(Self { family: Part::parse(family)?, fact: Part::parse(fact)? })
            })
            .ok_or_else(|| InvalidPattern(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // R30
    #[test]
    fn patterns_match_by_family_by_fact_or_all() {
        let cases = [
            ("task:created", "task:created", true),
            ("task:created", "task:failed", false),
            ("task:*", "task:failed", true),
            ("task:*", "execution:finished", false),
            ("*:failed", "task:failed", true),
            ("*:failed", "task:created", false),
            ("**", "sandbox:lost", true),
            ("*:*", "sandbox:lost", true),
        ];
        for (pattern, name, wanted) in cases {
            let pattern: Pattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(name), wanted, "{pattern:?} on {name}");
        }
        for text in ["", "task", "task:", ":x", "a:b:c", "t*:x"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }
}
