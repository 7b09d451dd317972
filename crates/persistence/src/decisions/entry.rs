//! One decision as it stands in `decisions.md`.

use std::fmt::Write as _;

use armor_core::decision::Decision;
use armor_core::id::AgentId;
use armor_core::time::Timestamp;

use crate::hash::sha256;

use super::quote::{quote, unquote};

/// What the first line of an entry begins with. No line of a decision's text begins so.
pub(super) const HEADING: &str = "## ";
/// What the last line begins with.
const MARK: &str = "<!-- event ";

const WHY: &str = "### Why";
const ALTERNATIVES: &str = "### Alternatives";

/// A decision in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number in the file: 1, 2, 3, …
    pub(super) number: u64,
    /// The place of its event among those of the task.
    pub(super) place: u64,
    pub(super) decision: Decision,
}

impl Entry {
    /// Adds its text.
    pub(super) fn write(&self, into: &mut String) {
        let Self { number, place, decision } = self;
        let begun = into.len();
        let heading = format!("{HEADING}{number}. {}, {}\n\n", decision.at(), decision.by());
        into.push_str(&heading);
        quote(decision.what(), "", "", into);
        into.push('\n');
        if !decision.why().is_empty() {
            into.push_str(WHY);
            into.push_str("\n\n");
            quote(decision.why(), "", "", into);
            into.push('\n');
        }
        if !decision.alternatives().is_empty() {
            into.push_str(ALTERNATIVES);
            into.push_str("\n\n");
            for alternative in decision.alternatives() {
                quote(alternative, "- ", "  ", into);
            }
            into.push('\n');
        }
        let sum = sum_of(*place, &into[begun..]);
        // Writing to a String cannot fail.
        let _ = writeln!(into, "{MARK}{place}, sha256 {sum} -->");
    }

    /// Reads an entry, which is all of `text`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let body = text.strip_suffix(" -->\n").ok_or("it does not end")?;
        let (body, mark) = body.rsplit_once(MARK).ok_or("it does not end")?;
        let (place, sum) = mark.split_once(", sha256 ").ok_or("its last line is none of ours")?;
        let place = place.parse().map_err(|_| "its last line is none of ours")?;
        if sum_of(place, body) != sum {
            return Err("its text is not what was written");
        }
        Self::parse_body(place, body).ok_or("its text is none of ours")
    }

    fn parse_body(place: u64, body: &str) -> Option<Self> {
        let mut lines = body.lines();
        let (number, by_whom) = lines.next()?.strip_prefix(HEADING)?.split_once(". ")?;
        let (at, by) = by_whom.split_once(", ")?;
        let mut texts = [Vec::new(), Vec::new()];
        let mut alternatives: Vec<Vec<String>> = Vec::new();
        let mut section = 0;
        for line in lines {
            match line {
                "" | ALTERNATIVES => {}
                WHY => section = 1,
                line if line.starts_with('>') => texts[section].push(unquote(line)?),
                line => match line.split_at_checked(2)? {
                    ("- ", line) => alternatives.push(vec![unquote(line)?]),
                    ("  ", line) => alternatives.last_mut()?.push(unquote(line)?),
                    _ => return None,
                },
            }
        }
        let [what, why] = texts.map(|lines| lines.join("\n"));
        let alternatives = alternatives.into_iter().map(|lines| lines.join("\n")).collect();
        let by = AgentId::parse(by).ok()?;
        let at = Timestamp::parse(at).ok()?;
        let decision = Decision::new(what, why, alternatives, by, at).ok()?;
        Some(Self { number: number.parse().ok()?, place, decision })
    }
}

fn sum_of(place: u64, text: &str) -> String {
    sha256(&[text.as_bytes(), place.to_string().as_bytes()])
}
