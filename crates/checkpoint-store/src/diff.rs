//! What has to be done to a tree so that it becomes another one. Whole folders that are the same are
//! skipped by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ChunkId;
use crate::error::StoreError;
use crate::index::Chunks;
use crate::manifest::RootRecord;
use crate::paths::Paths;
use crate::replace::Change;
use crate::restore::tree;
use crate::tree::{Entry, Kind, Meta};
use crate::walk::{is_in, join};

/// One step. Each can be done again, at any time before the next attempt to do all of them has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Lets its owner into a folder in which something is to be done.
    Open {
        path: Vec<u8>,
    },
    /// Takes something out of the tree, a folder with all that is in it.
    Remove {
        path: Vec<u8>,
        number: u32,
    },
    MakeFolder {
        path: Vec<u8>,
    },
    /// Puts what was made beside the tree in its place.
    Place {
        path: Vec<u8>,
        number: u32,
    },
    /// Makes it another name of a file.
    Link {
        path: Vec<u8>,
        to: Vec<u8>,
    },
    /// Gives a file or folder that stays its owner, mode, attributes and time.
    Give {
        path: Vec<u8>,
        meta: Meta,
    },
}

/// What is to be done, and what is to be made beside the tree first.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// By number.
    pub(crate) made: Vec<Entry>,
    /// Files, folders and links that come, go or change.
    pub(crate) changed: u64,
    /// What goes, or is replaced by something else.
    pub(crate) lost: Vec<Entry>,
}

/// The bit of a mode that lets the owner read.
const OWNER_READS: u16 = 0o400;

#[derive(Default)]
struct Work {
    opened: BTreeSet<Vec<u8>>,
    removed: Vec<Vec<u8>>,
    lost: Vec<Entry>,
    folders: Vec<Vec<u8>>,
    placed: Vec<(Vec<u8>, Entry)>,
    given: Vec<(Vec<u8>, Meta)>,
    /// Folders that are as they are to be, but for what is done in them.
    kept: BTreeMap<Vec<u8>, Meta>,
    changed: u64,
}

/// Compares a tree as it is with one as it is to be; of both the part at one path, where one is named.
pub(crate) fn plan(chunks: &Chunks, change: &Change<'_>) -> Result<Plan, StoreError> {
    let Change { path: place, now, wanted, only } = change;
    let within =
        |group: &&Vec<Vec<u8>>| only.is_none_or(|only| group.iter().all(|path| is_in(path, only)));
    let links: Vec<_> = wanted.links.iter().filter(within).cloned().collect();
    let mut comparison = Comparison::new(chunks, place, now, &links, wanted, *only);
    let mut waiting =
        vec![Pair { folder: Vec::new(), there: Some(now.tree), wanted: Some(wanted.tree) }];
    while let Some(pair) = waiting.pop() {
        comparison.compare(pair, &mut waiting)?;
    }
    Ok(comparison.work.in_order(&links))
}

/// A folder as it is, and as it is to be.
struct Pair {
    folder: Vec<u8>,
    there: Option<ChunkId>,
    wanted: Option<ChunkId>,
}

/// What has to be known of two trees, and what is to be done so far.
struct Comparison<'a> {
    chunks: &'a Chunks,
    place: &'a Path,
    links_now: BTreeMap<&'a [u8], &'a Vec<Vec<u8>>>,
    links: BTreeMap<&'a [u8], &'a Vec<Vec<u8>>>,
    /// Also those of which only a part is at the path that counts.
    links_wanted: BTreeMap<&'a [u8], &'a Vec<Vec<u8>>>,
    /// Where names of one file differ, of which the trees say nothing.
    differing: Paths,
    /// What rules left out of the tree as it is, and of the one that it is to be. It stays as it is:
    /// nothing else has it.
    unknown: Paths,
    stays: Paths,
    /// The one path that counts, if not all do.
    only: Option<&'a [u8]>,
    work: Work,
}

impl<'a> Comparison<'a> {
    fn new(
        chunks: &'a Chunks,
        place: &'a Path,
        now: &'a RootRecord,
        links: &'a [Vec<Vec<u8>>],
        wanted: &'a RootRecord,
        only: Option<&'a [u8]>,
    ) -> Self {
        let (links_now, links) = (groups(&now.links), groups(links));
        let links_wanted = groups(&wanted.links);
        let names = links_now.keys().chain(links.keys());
        let differing = names.filter(|path| links_now.get(*path) != links.get(*path));
        let differing = differing.map(|path| path.to_vec()).collect();
        let mut work = Work::default();
        if only.is_some() {
            work.kept.insert(Vec::new(), now.meta.clone());
        } else {
            work.kept.insert(Vec::new(), wanted.meta.clone());
            if now.meta != wanted.meta {
                work.given.push((Vec::new(), wanted.meta.clone()));
                work.changed += 1;
            }
        }
        let (unknown, stays) = (by_rule(now), by_rule(wanted));
        Self {
            chunks,
            place,
            links_now,
            links,
            links_wanted,
            differing,
            unknown,
            stays,
            only,
            work,
        }
    }

    /// Compares a folder; those in it wait.
    fn compare(&mut self, pair: Pair, waiting: &mut Vec<Pair>) -> Result<(), StoreError> {
        let Pair { folder, there, wanted } = pair;
        if there == wanted && !self.differing.reach_into(&folder) {
            return Ok(());
        }
        let read = |id: Option<ChunkId>| id.map(|id| tree(self.chunks, &id)).transpose();
        let (there, wanted) = (read(there)?.unwrap_or_default(), read(wanted)?.unwrap_or_default());
        let mut there: BTreeMap<_, _> =
            there.entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        for entry in wanted.entries {
            let path = join(&folder, &entry.name);
            let before = there.remove(&entry.name);
            if self.counts(&path) {
                self.comes(&folder, path, before, entry, waiting)?;
            }
        }
        for (name, before) in there {
            let path = join(&folder, &name);
            if self.counts(&path) {
                self.goes(&folder, path, before, waiting);
            }
        }
        Ok(())
    }

    /// Whether something is the path that counts, in it, or above it.
    fn counts(&self, path: &[u8]) -> bool {
        self.only.is_none_or(|only| is_in(path, only) || is_in(only, path))
    }

    /// Whether a folder is above the path that counts, and so stays as it is itself.
    fn is_above(&self, path: &[u8]) -> bool {
        self.only.is_some_and(|only| only != path && is_in(only, path))
    }

    /// Something is to be as `entry` says.
    fn comes(
        &mut self,
        folder: &[u8],
        path: Vec<u8>,
        before: Option<Entry>,
        entry: Entry,
        waiting: &mut Vec<Pair>,
    ) -> Result<(), StoreError> {
        let would_go = if before.is_some() {
            !entry.is_folder() && self.unknown.reach_into(&path)
        } else {
            self.unknown.contains(&path)
        };
        let place = || self.place.join(OsStr::from_bytes(&path));
        if would_go {
            return Err(StoreError::InTheWay { path: place() });
        }
        if self.is_above(&path) && before.as_ref().is_some_and(|before| !before.is_folder()) {
            return Err(StoreError::NoFolder { path: place() });
        }
        match entry.kind {
            Kind::Folder { tree } => {
                self.folder_comes(folder, path, before, entry.meta, tree, waiting);
            }
            _ => self.file_comes(folder, path, before, entry),
        }
        Ok(())
    }

    fn folder_comes(
        &mut self,
        folder: &[u8],
        path: Vec<u8>,
        before: Option<Entry>,
        wanted: Meta,
        tree: ChunkId,
        waiting: &mut Vec<Pair>,
    ) {
        let is_above = self.is_above(&path);
        let work = &mut self.work;
        let there = match before {
            Some(Entry { kind: Kind::Folder { tree: before }, meta, .. }) => {
                if is_above {
                    work.kept.insert(path.clone(), meta);
                } else {
                    if meta != wanted {
                        work.changed += 1;
                        work.opened.insert(path.clone());
                        work.given.push((path.clone(), wanted.clone()));
                    }
                    work.kept.insert(path.clone(), wanted);
                }
                Some(before)
            }
            before => {
                work.change(folder);
                if let Some(before) = before {
                    work.remove(path.clone(), before);
                }
                work.folders.push(path.clone());
                work.given.push((path.clone(), wanted));
                None
            }
        };
        waiting.push(Pair { folder: path, there, wanted: Some(tree) });
    }

    /// A file, link or pipe.
    fn file_comes(&mut self, folder: &[u8], path: Vec<u8>, before: Option<Entry>, entry: Entry) {
        let of = |links: &BTreeMap<&[u8], &'a Vec<Vec<u8>>>| links.get(path.as_slice()).copied();
        let (group_now, group) = (of(&self.links_now), of(&self.links));
        let is_linked = group_now.is_some() || group.is_some();
        match before {
            // With one path alone it keeps the names that it has elsewhere.
            Some(before)
                if before == entry
                    && (group_now == group || group_now == of(&self.links_wanted)) => {}
            Some(before)
                if before.kind == entry.kind
                    && !is_linked
                    && matches!(entry.kind, Kind::File { .. })
                    // Each time that it is given it has to be opened.
                    && before.meta.mode & entry.meta.mode & OWNER_READS != 0 =>
            {
                self.work.changed += 1;
                self.work.given.push((path, entry.meta));
            }
            before => {
                self.work.change(folder);
                match before {
                    Some(before) if before.is_folder() => self.work.remove(path.clone(), before),
                    before => self.work.lost.extend(before),
                }
                self.work.placed.push((path, entry));
            }
        }
    }

    /// Something is not to be there.
    fn goes(&mut self, folder: &[u8], path: Vec<u8>, before: Entry, waiting: &mut Vec<Pair>) {
        if self.stays.contains(&path) {
            return;
        }
        let holds_more = self.unknown.reach_into(&path) || self.stays.reach_into(&path);
        match before.kind {
            // Only what is known in it goes.
            Kind::Folder { tree } if holds_more => {
                self.work.kept.insert(path.clone(), before.meta);
                waiting.push(Pair { folder: path, there: Some(tree), wanted: None });
            }
            _ => {
                self.work.change(folder);
                self.work.remove(path, before);
            }
        }
    }
}

/// What rules left out of a tree.
fn by_rule(record: &RootRecord) -> Paths {
    let by_rule = record.left_out.iter().filter(|out| out.reason.is_rule());
    by_rule.map(|out| out.exact_path().to_vec()).collect()
}

/// The names of each file that has several, by each of them.
fn groups(links: &[Vec<Vec<u8>>]) -> BTreeMap<&[u8], &Vec<Vec<u8>>> {
    links.iter().flat_map(|group| group.iter().map(move |path| (path.as_slice(), group))).collect()
}

impl Work {
    /// Something in a folder comes, goes or changes.
    fn change(&mut self, folder: &[u8]) {
        self.changed += 1;
        if self.kept.contains_key(folder) {
            self.opened.insert(folder.to_vec());
        }
    }

    /// Something goes. A folder is moved away, into which its owner has to get.
    fn remove(&mut self, path: Vec<u8>, before: Entry) {
        if before.is_folder() {
            self.opened.insert(path.clone());
        }
        self.removed.push(path);
        self.lost.push(before);
    }

    fn in_order(self, links: &[Vec<Vec<u8>>]) -> Plan {
        let mut plan = Plan { changed: self.changed, lost: self.lost, ..Plan::default() };
        let Plan { steps, made, .. } = &mut plan;
        steps.extend(self.opened.iter().cloned().map(|path| Step::Open { path }));
        let removed = self.removed.into_iter().zip(0..);
        steps.extend(removed.map(|(path, number)| Step::Remove { path, number }));
        steps.extend(self.folders.into_iter().map(|path| Step::MakeFolder { path }));
        let first_of: BTreeMap<&[u8], &[u8]> = links
            .iter()
            .filter_map(|group| group.split_first())
            .flat_map(|(first, others)| others.iter().map(|other| (&**other, &**first)))
            .collect();
        let mut linked = Vec::new();
        for (path, entry) in self.placed {
            if let Some(first) = first_of.get(path.as_slice()) {
                linked.push(Step::Link { path, to: first.to_vec() });
                continue;
            }
            let number = u32::try_from(made.len()).unwrap_or(u32::MAX);
            steps.push(Step::Place { path, number });
            made.push(entry);
        }
        steps.append(&mut linked);
        // Folders behind what is in them: whatever is done in one changes its time.
        let mut given: BTreeMap<Vec<u8>, Meta> = self.given.into_iter().collect();
        for path in self.opened {
            if let Some(meta) = self.kept.get(&path) {
                given.entry(path).or_insert_with(|| meta.clone());
            }
        }
        steps.extend(given.into_iter().rev().map(|(path, meta)| Step::Give { path, meta }));
        plan
    }
}
