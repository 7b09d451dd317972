//! What the program is asked to measure.

use std::fmt;

use crate::Effort;

const USAGE: &str =
    "usage: armor-bench <registry|events|sandbox|checkpoints|load|all> [--quick] [--json]";

/// A part of Armor that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    /// Durable changes of tasks, beside raw SQLite.
    Registry,
    /// Events: live, into the log and out of it.
    Events,
    /// The load tests of R90.
    Load,
    /// Sandboxes and commands in them, beside the bare engine.
    Sandbox,
    /// Checkpoints of a tree, beside archives and restic.
    Checkpoints,
}

/// The command line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) areas: Vec<Area>,
    pub(crate) effort: Effort,
    pub(crate) json: bool,
}

/// A command line that asks for nothing known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misused(String);

impl fmt::Display for Misused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{USAGE}", self.0)
    }
}

impl std::error::Error for Misused {}

/// Reads the command line, without the program's name.
pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, Misused> {
    let mut arguments = Arguments { areas: Vec::new(), effort: Effort::Full, json: false };
    for word in words {
        match word.as_str() {
            "--quick" => arguments.effort = Effort::Quick,
            "--json" => arguments.json = true,
            area if arguments.areas.is_empty() => arguments.areas = areas(area)?,
            more => return Err(Misused(format!("`{more}` is one word too many"))),
        }
    }
    if arguments.areas.is_empty() {
        return Err(Misused("which area?".to_owned()));
    }
    Ok(arguments)
}

fn areas(word: &str) -> Result<Vec<Area>, Misused> {
    match word {
        "registry" => Ok(vec![Area::Registry]),
        "events" => Ok(vec![Area::Events]),
        "load" => Ok(vec![Area::Load]),
        "sandbox" => Ok(vec![Area::Sandbox]),
        "checkpoints" => Ok(vec![Area::Checkpoints]),
        "all" => Ok(vec![Area::Registry, Area::Events, Area::Sandbox, Area::Checkpoints]),
        unknown => Err(Misused(format!("`{unknown}` is no area"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, Misused> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn an_area_and_flags_are_taken_in_any_order() {
        let wanted = Arguments { areas: vec![Area::Registry], effort: Effort::Quick, json: true };
        assert_eq!(parsed("--quick registry --json").unwrap(), wanted);
        let all = [Area::Registry, Area::Events, Area::Sandbox, Area::Checkpoints];
        assert_eq!(parsed("all").unwrap().areas, all);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["", "--quick", "weather", "registry sandbox", "all --fast"] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
    }
}
