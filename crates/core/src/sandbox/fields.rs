//! The parts of a sandbox that a user chooses: image, network.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Diagnostic};
use crate::task::WorkspaceMode;

/// A choice that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSandboxField {
    /// Not the form of an image's name.
    #[error("`{}` is not the name of an image", .0.escape_debug())]
    Image(String),
    /// No such network mode.
    #[error("`{}` is no network mode", .0.escape_debug())]
    Network(String),
    /// No such way to use a folder.
    #[error("`{}` is no way to use a workspace", .0.escape_debug())]
    Workspace(String),
    /// A way to use a workspace that there is not.
    #[error("`{0}` says what to make of a workspace, and none is named")]
    NoWorkspace(WorkspaceMode),
    /// Rules for a network that they say nothing about.
    #[error("rules say nothing about the network {0}")]
    Rules(NetworkMode),
    /// A limit below what a sandbox can live with, or above what is sensible.
    #[error("the limit {name} = {value} is not between {min} and {max}")]
    Limit {
        /// Which limit.
        name: &'static str,
        /// What was asked for.
        value: u64,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
}

impl Diagnostic for InvalidSandboxField {
    fn code(&self) -> Code {
        Code::ArgumentInvalid
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Image(_) => {
                "Use a name such as agentic-armor/opencode-sandbox-base:latest.".to_owned()
            }
            Self::Network(_) => format!("Use one of {}.", NetworkMode::NAMES.join(", ")),
            Self::Workspace(_) => format!("Use one of {}.", WorkspaceMode::NAMES.join(", ")),
            Self::NoWorkspace(_) => "Name the folder, or leave the mode out.".to_owned(),
            Self::Rules(_) => "Ask for the network egress, or leave the rules out.".to_owned(),
            Self::Limit { name, min, max, .. } => {
                format!("Choose {name} between {min} and {max}.")
            }
        })
    }
}

/// The name of an image: `[host/]path[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(String);

impl ImageName {
    /// The image that a task gets when it asks for none.
    pub fn base() -> Self {
        Self("agentic-armor/opencode-sandbox-base:latest".to_owned())
    }

    /// The image with compilers, Python and the like.
    pub fn developer() -> Self {
        Self("agentic-armor/opencode-sandbox-developer:latest".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageName {
    type Err = InvalidSandboxField;

    /// Takes what the engine's reference grammar could take; the engine has the last word.
    fn from_str(text: &str) -> Result<Self, InvalidSandboxField> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        let plausible = (1..=255).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(allowed)
            && !text.contains("//")
            && !text.contains("..");
        if plausible {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSandboxField::Image(text.to_owned()))
        }
    }
}

impl TryFrom<String> for ImageName {
    type Error = InvalidSandboxField;

    fn try_from(text: String) -> Result<Self, InvalidSandboxField> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(image: ImageName) -> Self {
        image.0
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What the commands of a sandbox can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// Nothing but the sandbox's own loopback.
    None,
    /// A network of the task's own, without a route out and without other tasks on it.
    Internal,
    /// What rules allow, through a proxy of Armor's that is the only way out.
    Egress,
    /// Whatever the engine's machine reaches, itself and its networks included.
    Open,
}

impl NetworkMode {
    /// The names of all, as in the database and in output.
    pub const NAMES: &'static [&'static str] = &["none", "internal", "egress", "open"];

    /// Its name, as in the database and in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Internal => "internal",
            Self::Egress => "egress",
            Self::Open => "open",
        }
    }
}

impl FromStr for NetworkMode {
    type Err = InvalidSandboxField;

    fn from_str(text: &str) -> Result<Self, InvalidSandboxField> {
        match text {
            "none" => Ok(Self::None),
            "internal" => Ok(Self::Internal),
            "egress" => Ok(Self::Egress),
            "open" => Ok(Self::Open),
            _ => Err(InvalidSandboxField::Network(text.to_owned())),
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_of_the_usual_forms_are_taken_and_others_are_not() {
        for name in ["busybox", "localhost:5000/a/b:v1.2", "a@sha256:0123abcd"] {
            assert_eq!(name.parse::<ImageName>().unwrap().as_str(), name);
        }
        for name in ["", "-rm", "a b", "a\n", "a//b", "../a", "a:"] {
            assert!(name.parse::<ImageName>().is_err(), "{name:?}");
        }
    }
}
