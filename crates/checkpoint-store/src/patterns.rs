//! Patterns in the syntax of `.gitignore`, as git understands them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::walk::below;

/// Why patterns are none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatternError {
    #[error(transparent)]
    Unreadable(#[from] std::io::Error),
    #[error("it is not UTF-8")]
    Encoding,
    #[error("there are more patterns in the tree than are read")]
    TooMany,
    #[error("`{}` is no pattern", line.escape_debug())]
    Line { line: String },
    #[error("its patterns are too many or too long together")]
    TooLarge,
}

/// What patterns say of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    LeaveOut,
    /// With a `!`.
    TakeIn,
}

/// The longest line, in bytes: what is made of a pattern takes hundreds of times its length while it is
/// made, and no path is longer.
const LONGEST: usize = 4096;

/// The patterns of a file, or a list of them.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// The folder that they count in.
    folder: Vec<u8>,
    matcher: Gitignore,
    cost: u64,
    expressions: u64,
}

impl Patterns {
    /// Reads the lines of a file that count in a folder.
    pub(crate) fn of_file(folder: &[u8], bytes: &[u8]) -> Result<Self, PatternError> {
        let text = str::from_utf8(bytes).map_err(|_| PatternError::Encoding)?;
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        Self::of_lines(folder, text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)))
    }

    /// One that cannot be understood makes all of them void: it may be one that takes something in.
    pub(crate) fn of_lines<'a>(
        folder: &[u8],
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, PatternError> {
        let mut builder = GitignoreBuilder::new("");
        // What git takes for a bracket that is not closed matches nothing.
        builder.allow_unclosed_class(false);
        let (mut cost, mut expressions) = (0, 0);
        for line in lines {
            // As much of it as one looks at.
            let void = || PatternError::Line { line: line.chars().take(100).collect() };
            if line.len() > LONGEST {
                return Err(void());
            }
            let meant = without_braces(line).ok_or_else(void)?;
            builder.add_line(None, &meant).map_err(|_| void())?;
            if takes_time(line) {
                cost += line.len() as u64;
                expressions += 1;
            }
        }
        let matcher = builder.build().map_err(|_| PatternError::TooLarge)?;
        Ok(Self { folder: folder.to_vec(), matcher, cost, expressions })
    }

    /// How long it may take to compare them with a byte of a path: the bytes in all that are compared one
    /// after the other.
    pub(crate) const fn cost(&self) -> u64 {
        self.cost
    }

    /// How many of them take more memory than their text.
    pub(crate) const fn expressions(&self) -> u64 {
        self.expressions
    }

    /// What they say of something in their folder, or deeper.
    pub(crate) fn say(&self, path: &[u8], is_folder: bool) -> Option<Said> {
        let path = below(&self.folder, path)?;
        match self.matcher.matched(Path::new(OsStr::from_bytes(path)), is_folder) {
            Match::None => None,
            Match::Ignore(_) => Some(Said::LeaveOut),
            Match::Whitelist(_) => Some(Said::TakeIn),
        }
    }
}

/// Whether the library makes a regular expression of a line; others, and `*.ending`, it looks up.
fn takes_time(line: &str) -> bool {
    const WILD: [char; 3] = ['*', '?', '['];
    let line = line.strip_prefix('!').unwrap_or(line);
    let is_ending =
        line.strip_prefix("*.").is_some_and(|end| !end.contains(['*', '?', '[', '.', '/']));
    line.contains(WILD) && !is_ending
}

/// The line so that braces mean themselves, which are alternatives to the library and nothing to git.
/// None for one that git and the library understand differently: a backslash between brackets or before
/// the last `/`, NUL, or `a**/b`, which is `ab` to git and not to its manual, as `/a**` is `a/b`.
fn without_braces(line: &str) -> Option<String> {
    let mut meant = String::with_capacity(line.len());
    if line.starts_with('#') {
        return Some(meant);
    }
    let pattern = line.strip_prefix('!').unwrap_or(line).trim_end();
    if pattern.ends_with("\\/") {
        return None;
    }
    let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
    let is_joined = |at: usize| at > 0 && !pattern[..at].ends_with('/');
    if pattern.match_indices("**/").any(|(at, _)| is_joined(at)) {
        return None;
    }
    let stem = pattern.trim_end_matches('*').len();
    if pattern.contains('/') && pattern.len() - stem > 1 && is_joined(stem) {
        return None;
    }
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\0' => return None,
            '\\' => {
                meant.push(letter);
                meant.extend(rest.next());
            }
            '{' | '}' => {
                meant.push('\\');
                meant.push(letter);
            }
            '[' => {
                let class = class(rest.as_str())?;
                meant.push(letter);
                meant.push_str(class);
                rest = rest.as_str().get(class.len()..)?.chars();
            }
            _ => meant.push(letter),
        }
    }
    Some(meant)
}

/// What belongs to a class behind its first bracket.
fn class(text: &str) -> Option<&str> {
    let mut letters = text.char_indices().peekable();
    letters.next_if(|(_, letter)| matches!(letter, '!' | '^'));
    letters.next_if(|(_, letter)| *letter == ']');
    while let Some((at, letter)) = letters.next() {
        match letter {
            ']' => return text.get(..=at),
            '\\' => return None,
            // `[:alpha:]` and the like.
            '[' if letters.peek().is_some_and(|(_, next)| *next == ':') => {
                let end = text.get(at..)?.find(":]")? + at;
                while letters.next_if(|(at, _)| *at <= end + 1).is_some() {}
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(lines: &str, path: &str, is_folder: bool) -> Option<Said> {
        Patterns::of_file(b"", lines.as_bytes()).unwrap().say(path.as_bytes(), is_folder)
    }

    #[test]
    fn the_last_line_that_fits_counts() {
        assert_eq!(says("*.log\n!keep.log\n", "a/x.log", false), Some(Said::LeaveOut));
        assert_eq!(says("*.log\n!keep.log\n", "a/keep.log", false), Some(Said::TakeIn));
        assert_eq!(says("*.log\r\nx", "a.log", false), Some(Said::LeaveOut));
        assert_eq!(says("target/", "a/target", true), Some(Said::LeaveOut));
        assert_eq!(says("target/", "a/target", false), None);
        assert_eq!(says("/a", "b/a", false), None);
        assert_eq!(says("# a\n\n \n", "a", false), None);
    }

    #[test]
    fn braces_mean_themselves() {
        assert_eq!(says("{a,b}", "a", false), None);
        assert_eq!(says("{a,b}", "{a,b}", false), Some(Said::LeaveOut));
        assert_eq!(says("[{]x", "{x", false), Some(Said::LeaveOut));
        assert_eq!(says("[[:digit:]{]x", "{x", false), Some(Said::LeaveOut));
    }

    #[test]
    fn a_line_that_cannot_be_understood_makes_all_void() {
        for lines in ["*\n[", "a[\\]]", "*\na\0b", "a\\", "*\n!a**/b", "/a**", "b/a***/", "a\\/"] {
            assert!(Patterns::of_file(b"", lines.as_bytes()).is_err(), "{lines}");
        }
        assert!(Patterns::of_file(b"", b"a\xFF").is_err());
        assert!(Patterns::of_file(b"", &[b'a'; LONGEST + 1]).is_err());
    }

    #[test]
    fn two_stars_without_a_folder_are_one() {
        assert_eq!(says("a**", "b/ab", false), Some(Said::LeaveOut));
        assert_eq!(says("a**/", "b/ab", true), Some(Said::LeaveOut));
        assert_eq!(says("/a/**", "a/b/c", false), Some(Said::LeaveOut));
        assert_eq!(says("/a**c", "a/c", false), None);
    }

    #[test]
    fn they_count_in_their_folder_alone() {
        let patterns = Patterns::of_file(b"a/b", b"/x").unwrap();
        assert_eq!(patterns.say(b"a/b/x", false), Some(Said::LeaveOut));
        for path in [&b"x"[..], b"a/bb/x", b"a/b/c/x", b"a/b"] {
            assert_eq!(patterns.say(path, false), None);
        }
    }
}
