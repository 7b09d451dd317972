//! What a checkpoint leaves out, by rules that one can see and change. What git tracks is never left out,
//! and `.git` is never looked into: a repository that lacks a part is none.
//!
//! Whoever works in the tree can write what is read here. What cannot be understood therefore leaves
//! nothing out, and where it cannot be known what git tracks, nothing is left out at all.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use armor_core::config::CheckpointSettings;
use rustix::fs::{FileType, Statx};
use rustix::io::Errno;

use crate::budget::Budget;
use crate::error::StoreError;
use crate::index::Chunks;
use crate::manifest::{Reason, RootRecord};
use crate::paths::Paths;
use crate::patterns::{PatternError, Patterns, Said};
use crate::repository::Repository;
use crate::restore;
use crate::tree::file_type;
use crate::walk::{join, read_below};

/// What a checkpoint leaves out. Of two rules that speak of the same, one in an `.armorignore` comes
/// before one in a `.gitignore`, and that before a name; of those of one kind, the one in the deeper
/// folder comes first, and in a file the later line. A rule that takes in (`!`) is a rule like others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// What is left out wherever it is, in the syntax of `.gitignore`.
    pub names: Vec<String>,
    /// Whether what `.armorignore` files name is left out.
    pub armor_ignored: bool,
    /// Whether what git ignores is left out: by `.gitignore` files and by `.git/info/exclude`.
    pub git_ignored: bool,
    /// Files that are longer are left out, unless an `.armorignore` takes them in. In bytes.
    pub largest: Option<u64>,
}

impl Rules {
    /// Those that leave nothing out.
    pub const fn none() -> Self {
        Self { names: Vec::new(), armor_ignored: false, git_ignored: false, largest: None }
    }

    const fn leave_nothing_out(&self) -> bool {
        self.names.is_empty() && !self.armor_ignored && !self.git_ignored && self.largest.is_none()
    }
}

impl From<&CheckpointSettings> for Rules {
    /// An `.armorignore` always counts beside the settings: whoever writes one means it.
    fn from(settings: &CheckpointSettings) -> Self {
        Self {
            names: settings.leave_out.clone(),
            armor_ignored: true,
            git_ignored: settings.git_ignored,
            largest: settings.largest_file_bytes(),
        }
    }
}

/// The longest file of patterns that is read, in bytes.
const LONGEST: u64 = 1 << 20;
/// Bytes that are read of all such files of a tree: each file, and each line, takes more memory and time
/// than its bytes, and counts for more.
const PATTERNS: u64 = 16 << 20;
const A_FILE: u64 = 1000;
const A_LINE: u64 = 100;
/// The same for a regular expression, of which one may be made for a line.
const AN_EXPRESSION: u64 = 1000;
/// How much all of them may be compared with: bytes of patterns that take time, by bytes of paths. A large
/// repository takes a hundredth of it.
const MATCHING: u64 = 4 << 30;
/// Bytes that are read, and kept, of all indexes of git in a tree.
const INDEXES: u64 = 256 << 20;

/// The rules, as they are for one tree.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    root: &'a OwnedFd,
    rules: &'a Rules,
    named: Patterns,
    before: Option<&'a Before>,
    patterns: Budget,
    matching: Budget,
    indexes: Budget,
}

/// Comparing more with patterns would take too long.
struct TooSlow;

/// What a checkpoint has that a tree is to become.
#[derive(Debug, Default)]
pub(crate) struct Before {
    inside: Paths,
    left_out: BTreeMap<Vec<u8>, Reason>,
}

/// What counts in a folder, and in those in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    armor: Vec<Arc<Patterns>>,
    git: Vec<Arc<Patterns>>,
    repositories: Vec<Arc<Repository>>,
    /// Nothing is left out.
    whole: bool,
    /// Everything is left out but what is tracked, or was in the checkpoint.
    ignored: Option<Reason>,
}

/// What becomes of something in a folder.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is taken in; what counts in it, if it is a folder.
    TakeIn(Scope),
    LeaveOut(Reason),
}

impl Before {
    pub(crate) fn read(chunks: &Chunks, record: &RootRecord) -> Result<Self, StoreError> {
        let by_rule = record.left_out.iter().filter(|out| out.reason.is_rule());
        Ok(Self {
            inside: restore::paths(chunks, record.tree)?.into_iter().collect(),
            left_out: by_rule.map(|out| (out.exact_path().to_vec(), out.reason)).collect(),
        })
    }
}

impl<'a> Judge<'a> {
    pub(crate) fn new(
        root: &'a OwnedFd,
        rules: &'a Rules,
        before: Option<&'a Before>,
    ) -> Result<Self, StoreError> {
        let named = Patterns::of_lines(b"", rules.names.iter().map(String::as_str));
        let named = named.map_err(|error| match error {
            PatternError::Line { line } => StoreError::NoPattern { line },
            _ => StoreError::NoPattern { line: rules.names.join(", ") },
        })?;
        Ok(Self {
            root,
            rules,
            named,
            before,
            patterns: Budget::new(PATTERNS),
            matching: Budget::new(MATCHING),
            indexes: Budget::new(INDEXES),
        })
    }

    /// What counts at the root.
    pub(crate) fn at_the_root(&self) -> Scope {
        let holds_out = self.before.is_some_and(|before| !before.left_out.is_empty());
        Scope { whole: self.rules.leave_nothing_out() && !holds_out, ..Scope::default() }
    }

    /// Adds what counts from a folder on, of whose content these are the names, in order.
    pub(crate) fn enter(&self, scope: &mut Scope, folder: &[u8], names: &[Vec<u8>]) {
        if scope.whole {
            return;
        }
        let has = |name: &[u8]| names.binary_search_by(|one| one.as_slice().cmp(name)).is_ok();
        if has(b".git") {
            match Repository::read(self.root, folder, &self.indexes) {
                Ok(repository) => scope.repositories.push(Arc::new(repository)),
                Err(error) => {
                    let (folder, error) = (lossy(folder), &error as &dyn std::error::Error);
                    tracing::warn!(
                        folder,
                        error,
                        "nothing in it is left out: what git tracks is not known"
                    );
                    scope.whole = true;
                    return;
                }
            }
            if self.rules.git_ignored && scope.ignored.is_none() {
                scope.git.extend(self.patterns(folder, b".git/info/exclude"));
            }
        }
        // As in git: nothing in a folder that is left out can be taken in again.
        if scope.ignored.is_some() {
            return;
        }
        if self.rules.git_ignored && has(b".gitignore") {
            scope.git.extend(self.patterns(folder, b".gitignore"));
        }
        if self.rules.armor_ignored && has(b".armorignore") {
            scope.armor.extend(self.patterns(folder, b".armorignore"));
        }
    }

    /// Those of a file that count in a folder; one that cannot be understood has none.
    fn patterns(&self, folder: &[u8], name: &[u8]) -> Option<Arc<Patterns>> {
        let path = join(folder, name);
        match self.read(folder, &path) {
            Ok(patterns) => patterns.map(Arc::new),
            Err(error) => {
                tracing::warn!(path = lossy(&path), %error, "it leaves nothing out");
                None
            }
        }
    }

    fn read(&self, folder: &[u8], path: &[u8]) -> Result<Option<Patterns>, PatternError> {
        let bytes = match read_below(self.root, path, |size| (size <= LONGEST).then_some(())) {
            Err(error) if is_absent(&error) => return Ok(None),
            bytes => bytes?,
        };
        let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
        let cost = A_FILE + A_LINE * lines + bytes.len() as u64;
        self.patterns.spend(cost).ok_or(PatternError::TooMany)?;
        let patterns = Patterns::of_file(folder, &bytes)?;
        let cost = AN_EXPRESSION * patterns.expressions();
        self.patterns.spend(cost).ok_or(PatternError::TooMany)?;
        Ok(Some(patterns))
    }

    /// What becomes of something in a folder in which that counts.
    pub(crate) fn judge(&self, scope: &Scope, path: &[u8], name: &[u8], stat: &Statx) -> Verdict {
        let is_folder = file_type(stat) == FileType::Directory;
        if scope.whole || name == b".git" {
            return Verdict::TakeIn(Scope { whole: true, ..Scope::default() });
        }
        let within = |ignored| {
            if !is_folder {
                return Verdict::TakeIn(Scope::default());
            }
            let whole = scope.repositories.iter().any(|repository| repository.has_whole(path));
            Verdict::TakeIn(Scope { whole, ignored, ..scope.clone() })
        };
        let Ok(ruled) = self.rule(scope, path, is_folder, stat) else {
            if self.matching.is_first_refusal() {
                let path = lossy(path);
                tracing::warn!(path, "nothing more is left out: patterns take too long");
            }
            return Verdict::TakeIn(Scope { whole: true, ..Scope::default() });
        };
        let Some(reason) = ruled else { return within(None) };
        let is_tracked =
            || scope.repositories.iter().any(|repository| repository.tracks(path, is_folder));
        if self.before.is_some_and(|before| before.inside.contains(path)) || is_tracked() {
            within(Some(reason))
        } else {
            Verdict::LeaveOut(reason)
        }
    }

    /// The rule by which something is left out, if one does.
    fn rule(
        &self,
        scope: &Scope,
        path: &[u8],
        is_folder: bool,
        stat: &Statx,
    ) -> Result<Option<Reason>, TooSlow> {
        let before = self.before.and_then(|before| before.left_out.get(path)).copied();
        if let Some(reason) = before.or(scope.ignored) {
            return Ok(Some(reason));
        }
        let said = |patterns: &[Arc<Patterns>]| {
            for patterns in patterns.iter().rev() {
                let cost = patterns.cost() * path.len() as u64;
                self.matching.spend(cost).ok_or(TooSlow)?;
                if let Some(said) = patterns.say(path, is_folder) {
                    return Ok(Some(said));
                }
            }
            Ok(None)
        };
        let ignored = match said(&scope.armor)? {
            Some(Said::TakeIn) => return Ok(None),
            Some(Said::LeaveOut) => Some(Reason::ArmorIgnored),
            None => match said(&scope.git)? {
                Some(Said::TakeIn) => None,
                Some(Said::LeaveOut) => Some(Reason::GitIgnored),
                None => (self.named.say(path, is_folder) == Some(Said::LeaveOut))
                    .then_some(Reason::Named),
            },
        };
        let is_too_large = || {
            file_type(stat) == FileType::RegularFile
                && self.rules.largest.is_some_and(|largest| stat.stx_size > largest)
        };
        Ok(ignored.or_else(|| is_too_large().then_some(Reason::TooLarge)))
    }
}

fn is_absent(error: &io::Error) -> bool {
    // What is below a file that is no folder is not there either.
    [Errno::NOENT, Errno::NOTDIR].iter().any(|one| error.raw_os_error() == Some(one.raw_os_error()))
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::walk::{look_at, open, open_below};

    // R95: patterns that take long are compared with so much and no more; then nothing is left out.
    #[test]
    fn what_takes_too_long_to_compare_leaves_nothing_out() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(".armorignore"), "*a?b\n*.log\n").unwrap();
        fs::write(place.path().join("a.log"), "").unwrap();
        let root = open(place.path()).unwrap();
        let rules = Rules { armor_ignored: true, ..Rules::none() };
        let mut judge = Judge::new(&root, &rules, None).unwrap();
        // A line of four bytes that no name finds, for three paths of five.
        judge.matching = Budget::new(3 * 4 * 5);
        let mut scope = judge.at_the_root();
        judge.enter(&mut scope, b"", &[b".armorignore".to_vec(), b"a.log".to_vec()]);
        let file = open_below(&root, b"a.log", rustix::fs::OFlags::PATH).unwrap();
        let stat = look_at(&file).unwrap();
        let is_left_out = |_| {
            let verdict = judge.judge(&scope, b"a.log", b"a.log", &stat);
            matches!(verdict, Verdict::LeaveOut(Reason::ArmorIgnored))
        };
        assert_eq!([0, 1, 2, 3, 4].map(is_left_out), [true, true, true, false, false]);
    }
}
