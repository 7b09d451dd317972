//! The form of a path below a root.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Diagnostic};

/// A path whose form is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// There is nothing.
    #[error("the path is empty")]
    Empty,
    /// It begins at the root of the file system.
    #[error("the path `{}` is absolute", .0.escape_debug())]
    Absolute(String),
    /// A component goes up.
    #[error("the path `{}` goes up with `..`", .0.escape_debug())]
    Traversal(String),
    /// It holds a character that no path may hold.
    #[error("the path `{}` holds the control character {character:?}", path.escape_debug())]
    Control {
        /// The path.
        path: String,
        /// The character.
        character: char,
    },
    /// A component is a device on Windows.
    #[error("the path component `{0}` is a reserved name")]
    Reserved(String),
    /// A component is longer than file systems allow.
    #[error(
        "a path component has {length} bytes; at most {} are allowed",
        RelativePath::MAX_COMPONENT
    )]
    ComponentTooLong {
        /// Bytes.
        length: usize,
    },
    /// The whole is longer than the kernel allows.
    #[error("the path has {length} bytes; at most {} are allowed", RelativePath::MAX_LENGTH)]
    TooLong {
        /// Bytes.
        length: usize,
    },
}

impl Diagnostic for InvalidPath {
    fn code(&self) -> Code {
        match self {
            Self::Absolute(_) | Self::Traversal(_) => Code::PathOutside,
            Self::Empty
            | Self::Control { .. }
            | Self::Reserved(_)
            | Self::ComponentTooLong { .. }
            | Self::TooLong { .. } => Code::PathInvalid,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some("Use a path relative to the root, such as src/main.rs.".to_owned())
    }
}

/// A path below a root: relative, without `..`, of components that any file system takes.
///
/// `.` components and repeated slashes are dropped; `.` alone is the root itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelativePath(String);

impl TryFrom<String> for RelativePath {
    type Error = InvalidPath;

    fn try_from(text: String) -> Result<Self, InvalidPath> {
        text.parse()
    }
}

impl From<RelativePath> for String {
    fn from(path: RelativePath) -> Self {
        path.0
    }
}

impl RelativePath {
    /// The longest component, in bytes (`NAME_MAX`).
    pub const MAX_COMPONENT: usize = 255;
    /// The longest path, in bytes (`PATH_MAX`).
    pub const MAX_LENGTH: usize = 4096;

    /// The path; `.` for the root itself.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.0 == "."
    }

    /// The path as text; `.` for the root itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RelativePath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        if text.is_empty() {
            return Err(InvalidPath::Empty);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidPath::TooLong { length: text.len() });
        }
        if let Some(character) = text.chars().find(|c| c.is_control()) {
            return Err(InvalidPath::Control { path: text.to_owned(), character });
        }
        if text.starts_with('/') {
            return Err(InvalidPath::Absolute(text.to_owned()));
        }
        let mut components = Vec::new();
        for component in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if component == ".." {
                return Err(InvalidPath::Traversal(text.to_owned()));
            }
            if component.len() > Self::MAX_COMPONENT {
                return Err(InvalidPath::ComponentTooLong { length: component.len() });
            }
            if is_reserved(component) {
                return Err(InvalidPath::Reserved(component.to_owned()));
            }
            components.push(component);
        }
        Ok(Self(if components.is_empty() { ".".to_owned() } else { components.join("/") }))
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether Windows takes the name for a device, with any extension: a repository with such a file
/// could not be checked out there.
fn is_reserved(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or(component).trim_end();
    let stem = stem.to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" => true,
        _ => {
            let digit = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
            digit.is_some_and(|digit| matches!(digit.as_bytes(), [b'1'..=b'9']))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        // R6: whatever is given, what is taken stays below its root.
        #[test]
        fn a_path_that_is_taken_has_only_plain_components(text in "\\PC{0,40}|[./a-c\\x00-\\x1f]{0,40}|(\\.\\./|a/|/|\\./){0,12}b?") {
            let Ok(path) = text.parse::<RelativePath>() else { return Ok(()) };
            for component in path.as_path().components() {
                prop_assert!(matches!(component, Component::Normal(_) | Component::CurDir), "{:?}", path);
            }
            prop_assert!(!path.as_str().chars().any(char::is_control));
            prop_assert_eq!(path.as_str().parse::<RelativePath>().unwrap(), path);
        }
    }

    #[test]
    fn refused_forms_each_say_why() {
        let refused = |text: &str| text.parse::<RelativePath>().unwrap_err();
        assert_eq!(refused(""), InvalidPath::Empty);
        assert_eq!(refused("/etc/passwd"), InvalidPath::Absolute("/etc/passwd".to_owned()));
        assert_eq!(refused("a/../../b"), InvalidPath::Traversal("a/../../b".to_owned()));
        assert!(matches!(refused("a\0b"), InvalidPath::Control { character: '\0', .. }));
        assert!(matches!(refused("a\nb"), InvalidPath::Control { character: '\n', .. }));
        for name in ["con", "Aux.txt", "COM1", "lpt9.log", "nul .x"] {
            assert_eq!(refused(name), InvalidPath::Reserved(name.to_owned()));
        }
        assert_eq!(refused(&"x".repeat(256)), InvalidPath::ComponentTooLong { length: 256 });
        assert_eq!(refused(&"x/".repeat(2049)), InvalidPath::TooLong { length: 4098 });
    }

    #[test]
    fn dots_and_repeated_slashes_are_dropped() {
        let path: RelativePath = "./a//b/./c/".parse().unwrap();
        assert_eq!(path.as_str(), "a/b/c");
        assert_eq!("./.".parse::<RelativePath>().unwrap().as_str(), ".");
        assert!("console/com10".parse::<RelativePath>().is_ok());
    }
}
