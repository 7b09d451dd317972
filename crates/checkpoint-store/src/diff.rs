//! What has to be done to a tree so that it becomes another one. Whole folders that are the same are
//! skipped by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

use crate::ChunkId;
use crate::error::StoreError;
use crate::index::Chunks;
use crate::manifest::RootRecord;
use crate::paths::Paths;
use crate::replace::Change;
use crate::restore::tree;
use crate::tree::{Entry, Kind, Meta};
use crate::walk::join;

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
}

/// The bit of a mode that lets the owner read.
const OWNER_READS: u16 = 0o400;

#[derive(Default)]
struct Work {
    opened: BTreeSet<Vec<u8>>,
    removed: Vec<Vec<u8>>,
    folders: Vec<Vec<u8>>,
    placed: Vec<(Vec<u8>, Entry)>,
    given: Vec<(Vec<u8>, Meta)>,
    /// Folders that are as they are to be, but for what is done in them.
    kept: BTreeMap<Vec<u8>, Meta>,
    changed: u64,
}

/// Compares a tree as it is with one as it is to be.
pub(crate) fn plan(
    chunks: &Chunks,
    Change { path: place, now, wanted }: &Change<'_>,
) -> Result<Plan, StoreError> {
    let (links_now, links) = (groups(&now.links), groups(&wanted.links));
    let is_same_file = |path: &[u8]| links_now.get(path) == links.get(path);
    let is_linked = |path: &[u8]| links_now.contains_key(path) || links.contains_key(path);

    let mut work = Work::default();
    work.kept.insert(Vec::new(), wanted.meta.clone());
    if now.meta != wanted.meta {
        work.given.push((Vec::new(), wanted.meta.clone()));
        work.changed += 1;
    }
    // Where names of one file differ, the trees say nothing of it.
    let differing = links_now.keys().chain(links.keys()).filter(|path| !is_same_file(path));
    let differing: Paths = differing.map(|path| path.to_vec()).collect();
    // What rules left out stays as it is: nothing else has it.
    let (unknown, stays) = (by_rule(now), by_rule(wanted));
    let in_the_way =
        |path: &[u8]| StoreError::InTheWay { path: place.join(OsStr::from_bytes(path)) };
    let mut waiting = vec![(Vec::new(), Some(now.tree), Some(wanted.tree))];
    while let Some((folder, there, wanted)) = waiting.pop() {
        if there == wanted && !differing.reach_into(&folder) {
            continue;
        }
        let read = |id: Option<ChunkId>| id.map(|id| tree(chunks, &id)).transpose();
        let there = read(there)?.unwrap_or_default();
        let mut there: BTreeMap<_, _> =
            there.entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        for entry in read(wanted)?.unwrap_or_default().entries {
            let path = join(&folder, &entry.name);
            let before = there.remove(&entry.name);
            let would_go = if before.is_some() {
                !entry.is_folder() && unknown.reach_into(&path)
            } else {
                unknown.contains(&path)
            };
            if would_go {
                return Err(in_the_way(&path));
            }
            if let Kind::Folder { tree } = entry.kind {
                match before {
                    Some(Entry { kind: Kind::Folder { tree: before }, meta, .. }) => {
                        if meta != entry.meta {
                            work.changed += 1;
                            work.opened.insert(path.clone());
                            work.given.push((path.clone(), entry.meta.clone()));
                        }
                        work.kept.insert(path.clone(), entry.meta);
                        waiting.push((path, Some(before), Some(tree)));
                    }
                    before => {
                        work.change(&folder);
                        if let Some(before) = before {
                            work.remove(path.clone(), &before);
                        }
                        work.folders.push(path.clone());
                        work.given.push((path.clone(), entry.meta));
                        waiting.push((path, None, Some(tree)));
                    }
                }
                continue;
            }
            match before {
                Some(before) if before == entry && is_same_file(&path) => {}
                Some(before)
                    if before.kind == entry.kind
                        && !is_linked(&path)
                        && matches!(entry.kind, Kind::File { .. })
                        && before.meta.mode & OWNER_READS != 0 =>
                {
                    work.changed += 1;
                    work.given.push((path, entry.meta));
                }
                before => {
                    work.change(&folder);
                    if let Some(before) = before.filter(Entry::is_folder) {
                        work.remove(path.clone(), &before);
                    }
                    work.placed.push((path, entry));
                }
            }
        }
        for (name, before) in there {
            let path = join(&folder, &name);
            if stays.contains(&path) {
                continue;
            }
            match before.kind {
                // Only what is known in it goes.
                Kind::Folder { tree } if unknown.reach_into(&path) || stays.reach_into(&path) => {
                    work.kept.insert(path.clone(), before.meta);
                    waiting.push((path, Some(tree), None));
                }
                _ => {
                    work.change(&folder);
                    work.remove(path, &before);
                }
            }
        }
    }
    Ok(work.in_order(&wanted.links))
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
    fn remove(&mut self, path: Vec<u8>, before: &Entry) {
        if before.is_folder() {
            self.opened.insert(path.clone());
        }
        self.removed.push(path);
    }

    fn in_order(self, links: &[Vec<Vec<u8>>]) -> Plan {
        let mut plan = Plan { changed: self.changed, ..Plan::default() };
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
