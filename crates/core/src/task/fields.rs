//! The parts of a task that come from outside and are checked once, on the way in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Code, Diagnostic};

/// A field of a task that cannot be what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// The name is empty.
    #[error("a task's name must not be empty")]
    NameEmpty,
    /// The name is too long.
    #[error("a task's name has {length} characters; at most {} are allowed", TaskName::MAX_CHARS)]
    NameTooLong {
        /// Characters given.
        length: usize,
    },
    /// The name holds a character that would break a line or a terminal.
    #[error("a task's name holds the control character {character:?} at position {position}")]
    NameControl {
        /// The character.
        character: char,
        /// Where it stands, counted in characters from zero.
        position: usize,
    },
    /// The request is empty, or holds a NUL.
    #[error("a task's request must be text that is not empty, without NUL")]
    RequestNotText,
    /// The request is too long.
    #[error("a task's request has {size} bytes; at most {} are allowed", RequestText::MAX_BYTES)]
    RequestTooLong {
        /// Bytes given.
        size: usize,
    },
    /// The owner is not a word.
    #[error("`{}` cannot be an owner", .0.escape_debug())]
    Owner(String),
    /// The metadata is another kind of JSON.
    #[error("metadata must be a JSON object, and this is {0}")]
    MetadataNotAnObject(&'static str),
    /// The metadata is not JSON at all.
    #[error("metadata is not valid JSON: {0}")]
    MetadataNotJson(String),
    /// The metadata is too large.
    #[error("metadata has {size} bytes as JSON; at most {} are allowed", Metadata::MAX_BYTES)]
    MetadataTooLarge {
        /// Bytes given.
        size: usize,
    },
}

impl Diagnostic for InvalidField {
    fn code(&self) -> Code {
        match self {
            Self::NameEmpty | Self::NameTooLong { .. } | Self::NameControl { .. } => {
                Code::TaskInvalidName
            }
            Self::RequestNotText | Self::RequestTooLong { .. } | Self::Owner(_) => {
                Code::ArgumentInvalid
            }
            Self::MetadataNotAnObject(_)
            | Self::MetadataNotJson(_)
            | Self::MetadataTooLarge { .. } => Code::TaskInvalidMetadata,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NameEmpty => "Give the task a name of one line.".to_owned(),
            Self::NameTooLong { .. } => {
                "Shorten the name, and put the whole of what is asked for into `request`."
                    .to_owned()
            }
            Self::NameControl { .. } => {
                "Use a name of one line, without tabs or escapes.".to_owned()
            }
            Self::RequestNotText => "Say what is to be done, or leave the request out.".to_owned(),
            Self::RequestTooLong { .. } => {
                "Put large material into a file of the workspace and name it in the request."
                    .to_owned()
            }
            Self::Owner(_) => {
                "An owner is 1 to 64 characters without control characters.".to_owned()
            }
            Self::MetadataNotAnObject(_) | Self::MetadataNotJson(_) => {
                "Pass an object, such as {\"ticket\": \"A-1\"}.".to_owned()
            }
            Self::MetadataTooLarge { .. } => {
                "Keep large material in the workspace and name its path in the metadata.".to_owned()
            }
        })
    }
}

macro_rules! checked_text {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidField;

            fn try_from(text: String) -> Result<Self, InvalidField> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(field: $name) -> Self {
                field.0
            }
        }
    };
}

/// What people call a task: one line of at most 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskName(String);

checked_text!(TaskName);

impl TaskName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 200;
}

impl FromStr for TaskName {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err(InvalidField::NameEmpty);
        }
        let length = text.chars().count();
        if length > Self::MAX_CHARS {
            return Err(InvalidField::NameTooLong { length });
        }
        match text.chars().enumerate().find(|(_, c)| c.is_control()) {
            Some((position, character)) => Err(InvalidField::NameControl { character, position }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// What is asked for, in full: text of any number of lines, at most 64 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestText(String);

checked_text!(RequestText);

impl RequestText {
    /// The longest request, in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;
}

impl FromStr for RequestText {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        let size = text.len();
        if size > Self::MAX_BYTES {
            return Err(InvalidField::RequestTooLong { size });
        }
        if text.trim().is_empty() || text.contains('\0') {
            return Err(InvalidField::RequestNotText);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Whom a task belongs to: a user, a team, an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Owner(String);

checked_text!(Owner);

impl Owner {
    /// The owner of a task that was made without one.
    pub fn nobody() -> Self {
        Self("nobody".to_owned())
    }
}

impl FromStr for Owner {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        let length = text.chars().count();
        if (1..=64).contains(&length) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidField::Owner(text.to_owned()))
        }
    }
}

/// What the creator keeps with a task: a JSON object of at most 64 KiB.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    /// The largest metadata, in bytes of JSON text.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// The object.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl TryFrom<Value> for Metadata {
    type Error = InvalidField;

    fn try_from(value: Value) -> Result<Self, InvalidField> {
        let size = value.to_string().len();
        if size > Self::MAX_BYTES {
            return Err(InvalidField::MetadataTooLarge { size });
        }
        match value {
            Value::Object(map) => Ok(Self(map)),
            Value::Null => Err(InvalidField::MetadataNotAnObject("null")),
            Value::Bool(_) => Err(InvalidField::MetadataNotAnObject("a boolean")),
            Value::Number(_) => Err(InvalidField::MetadataNotAnObject("a number")),
            Value::String(_) => Err(InvalidField::MetadataNotAnObject("a string")),
            Value::Array(_) => Err(InvalidField::MetadataNotAnObject("an array")),
        }
    }
}

impl From<Metadata> for Value {
    fn from(metadata: Metadata) -> Self {
        Self::Object(metadata.0)
    }
}

impl FromStr for Metadata {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| InvalidField::MetadataNotJson(error.to_string()))?;
        value.try_into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_that_is_taken_is_one_line_that_fits(text in "\\PC{0,210}|[ -~\\n\\t]{0,30}") {
            if let Ok(name) = text.parse::<TaskName>() {
                prop_assert!(!name.as_str().chars().any(char::is_control));
                prop_assert!((1..=TaskName::MAX_CHARS).contains(&name.as_str().chars().count()));
                prop_assert_eq!(name.as_str(), text.trim_matches(' '));
            }
        }
    }

    #[test]
    fn a_name_with_a_newline_is_refused_with_its_place() {
        let error = "two\nlines".parse::<TaskName>().unwrap_err();
        assert_eq!(error, InvalidField::NameControl { character: '\n', position: 3 });
        assert_eq!(error.code(), Code::TaskInvalidName);
    }

    #[test]
    fn a_name_of_ten_kib_is_refused() {
        let error = "x".repeat(10 * 1024).parse::<TaskName>().unwrap_err();
        assert_eq!(error, InvalidField::NameTooLong { length: 10 * 1024 });
    }

    #[test]
    fn metadata_that_is_no_object_is_refused_by_kind() {
        for (text, kind) in [("[]", "an array"), ("1", "a number"), ("null", "null")] {
            assert_eq!(text.parse::<Metadata>(), Err(InvalidField::MetadataNotAnObject(kind)));
        }
        assert!("{".parse::<Metadata>().is_err());
    }
}
