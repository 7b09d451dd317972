//! What a command takes, as data; and what it was given.

use std::collections::BTreeMap;

/// An argument of a command.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name, in lower case with `-` between words.
    pub name: &'static str,
    /// How it is given.
    pub kind: Kind,
    /// What it means, in one line.
    pub help: &'static str,
}

/// How an argument is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By its place; it has to be there.
    Required,
    /// By its place; it may be left out.
    Optional,
    /// As `--name VALUE`.
    Option(&'static str),
    /// As `--name VALUE`, any number of times.
    Many(&'static str),
    /// As `--name`.
    Flag,
    /// By its place, once or more.
    Several,
    /// Everything behind the other arguments, or behind `--`.
    Rest,
    /// The same, or nothing.
    RestIfAny,
}

/// What a command was given, by the names of its arguments.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    values: BTreeMap<&'static str, Vec<String>>,
}

impl Arguments {
    /// Adds a value of an argument; a flag that is given has an empty one.
    pub fn add(&mut self, name: &'static str, value: String) {
        self.values.entry(name).or_default().push(value);
    }

    /// The value of an argument, if it was given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.first().map(String::as_str)
    }

    /// The value of an argument that every parser asks for.
    pub fn required(&self, name: &'static str) -> Result<&str, crate::CommandError> {
        self.get(name).ok_or(crate::CommandError::Missing { argument: name })
    }

    /// All values of an argument.
    pub fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether a flag was given.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value of an argument as a number.
    pub fn number<T: std::str::FromStr>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, crate::CommandError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| crate::CommandError::Invalid {
            argument: name,
            value: text.to_owned(),
            expected: "a whole number",
        })
    }
}
