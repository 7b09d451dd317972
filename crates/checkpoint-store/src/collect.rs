//! Giving back the room of chunks that no checkpoint needs any more.
//!
//! First, beside everybody else, it is found out what is needed, and what is needed of packs that are to
//! go is copied to new ones. Then, alone for a moment, checkpoints that came meanwhile are looked at, and
//! the packs go that nobody needs by then. A kill leaves chunks that are there twice, or packs that the
//! next one removes. On a disk that is too full for all copies the packs go of which nothing else is
//! needed; that makes room for the others.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use armor_core::id::{CheckpointId, TaskId};

use crate::error::{StoreError, io_error};
use crate::index::{Chunks, Index, packs};
use crate::lock::StoreLock;
use crate::mark::Needed;
use crate::pack::{self, LARGEST_PACK, PackId, PackWriter, Place};
use crate::{ChunkId, damage, due, index, manifest, write};

/// A pack of which a part of so many is not needed is written anew.
const WORTHWHILE: u64 = 4;
/// A shorter pack is joined with others, once there are so many of those.
const SHORT: u64 = LARGEST_PACK / 8;
const MANY: usize = 32;

/// What was given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Packs that went.
    pub packs_removed: u64,
    /// Bytes of these, less those that were written anew.
    pub bytes_freed: u64,
    /// Chunks that checkpoints need.
    pub chunks: u64,
    /// Bytes that these take.
    pub bytes: u64,
}

/// Gives back what no checkpoint needs. Waits at most so long for the moment in which nobody else is at
/// work; none when that did not come, or another process is at it.
pub(crate) fn collect(root: &Path, wait: Duration) -> Result<Option<Collected>, StoreError> {
    let Some(_collecting) = StoreLock::collecting(root)? else { return Ok(None) };
    due::begin(root)?;
    let mut all = Collected::default();
    loop {
        let Some(Round { collected, is_last }) = round(root, wait)? else { return Ok(None) };
        all = Collected {
            packs_removed: all.packs_removed + collected.packs_removed,
            bytes_freed: all.bytes_freed + collected.bytes_freed,
            ..collected
        };
        if is_last {
            due::end(root)?;
            return Ok(Some(all));
        }
    }
}

/// What came of looking at all packs once.
struct Round {
    collected: Collected,
    /// Whether all went that can; else there was no room for copies, and there is more now.
    is_last: bool,
}

fn round(root: &Path, wait: Duration) -> Result<Option<Round>, StoreError> {
    let beside = StoreLock::shared(root)?;
    let seen: BTreeSet<_> = manifest::all(root)?.into_iter().collect();
    let mut needed = Needed::default();
    let chunks = chunks(root)?;
    for (task, id) in &seen {
        add(&mut needed, &chunks, root, task, id)?;
    }
    let collected = Collected { chunks: needed.count(), bytes: needed.bytes, ..Default::default() };
    let Saved { going, copies, is_last } = Heaps::of(root, &chunks, &needed)?.save(root)?;
    drop(beside);

    let Some(_alone) = StoreLock::alone(root, wait)? else { return Ok(None) };
    let going = without_newly_needed(root, going, &seen, &mut needed)?;
    for id in going.keys() {
        remove(&pack::file(&packs(root), id))?;
    }
    sweep(root)?;
    if !going.is_empty() {
        damage::clear(root, |pack| going.contains_key(pack) || copies.packs.contains(pack));
        if let Err(error) = Index::load(root)?.0.keep(root) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the index is brought in line the next time");
        }
    }
    let removed: u64 = going.values().sum();
    let collected = Collected {
        packs_removed: going.len() as u64,
        bytes_freed: removed.saturating_sub(copies.bytes),
        ..collected
    };
    Ok(Some(Round { collected, is_last }))
}

/// Adds what a checkpoint needs, unless it has been forgotten meanwhile.
fn add(
    needed: &mut Needed,
    chunks: &Chunks,
    root: &Path,
    task: &TaskId,
    id: &CheckpointId,
) -> Result<Vec<ChunkId>, StoreError> {
    let Some(manifest) = manifest::find(root, task, id)? else { return Ok(Vec::new()) };
    needed.add(chunks, &manifest)
}

fn chunks(root: &Path) -> Result<Chunks, StoreError> {
    let (index, damaged) = Index::load(root)?;
    for error in damaged {
        tracing::warn!(%error, "a pack stays as it is");
    }
    Ok(Chunks::new(index, root))
}

/// What may go.
struct Saved {
    /// The packs, with how long they are.
    going: BTreeMap<PackId, u64>,
    /// What was copied out of them.
    copies: Copies,
    /// Whether these are all.
    is_last: bool,
}

/// Chunks that were copied to new packs.
#[derive(Default)]
struct Copies {
    /// Those of packs that are in their place.
    chunks: HashSet<ChunkId>,
    packs: BTreeSet<PackId>,
    bytes: u64,
}

impl Copies {
    /// Puts a pack in its place.
    fn add(
        &mut self,
        pack: PackWriter,
        folder: &Path,
        chunks: Vec<ChunkId>,
    ) -> Result<(), StoreError> {
        let bytes = pack.length();
        self.packs.insert(pack.finish(folder)?);
        self.chunks.extend(chunks);
        self.bytes += bytes;
        Ok(())
    }
}

/// The packs as they are, and which are to go.
struct Heaps {
    there: BTreeSet<PackId>,
    /// With how long they are.
    going: BTreeMap<PackId, u64>,
    /// The chunks in them that are needed and are nowhere else: where each is.
    saved: BTreeMap<ChunkId, Vec<(PackId, Place)>>,
}

impl Heaps {
    fn of(root: &Path, chunks: &Chunks, needed: &Needed) -> Result<Self, StoreError> {
        let folder = packs(root);
        let mut lists = Vec::new();
        let there = index::names(&folder)?;
        for id in there.iter().copied() {
            let path = pack::file(&folder, &id);
            let length = fs::metadata(&path).map_err(io_error("look at", &path))?.len();
            // One that is damaged stays: nobody knows what is in it.
            if let Ok(list) = pack::list(&folder, &id) {
                lists.push((id, length, list));
            }
        }
        let is_joined = lists.iter().filter(|(_, length, _)| *length < SHORT).count() >= MANY;
        let mut going = BTreeMap::new();
        for (id, length, list) in &lists {
            let is_used = |(chunk, place): &&(ChunkId, Place)| {
                needed.contains(chunk) && chunks.find(chunk) == Some((*id, *place))
            };
            let stored = |(_, place): &(ChunkId, Place)| u64::from(place.stored);
            let all: u64 = list.iter().map(stored).sum();
            let used: u64 = list.iter().filter(is_used).map(stored).sum();
            if (all - used) * WORTHWHILE >= all || (is_joined && *length < SHORT) {
                going.insert(*id, *length);
            }
        }
        // What only the index knows of a pack is not relied upon.
        let listed: BTreeSet<_> = lists.iter().map(|(id, ..)| *id).collect();
        let mut saved: BTreeMap<ChunkId, Vec<(PackId, Place)>> = BTreeMap::new();
        for (id, _, list) in lists.into_iter().filter(|(id, ..)| going.contains_key(id)) {
            for (chunk, place) in list.into_iter().filter(|(chunk, _)| needed.contains(chunk)) {
                if !chunks.is_in(&chunk, |pack| listed.contains(pack) && !going.contains_key(pack))
                {
                    saved.entry(chunk).or_default().push((id, place));
                }
            }
        }
        Ok(Self { there, going, saved })
    }

    /// Copies what is needed to new packs, as long as there is room for that.
    fn save(self, root: &Path) -> Result<Saved, StoreError> {
        let mut copies = Copies::default();
        let copied = self.copy(root, &mut copies);
        let going = self.without_needed(&copies);
        match copied {
            Ok(()) => Ok(Saved { going, copies, is_last: true }),
            Err(StoreError::Io { source, .. })
                if source.kind() == io::ErrorKind::StorageFull && !going.is_empty() =>
            {
                Ok(Saved { going, copies, is_last: false })
            }
            Err(error) => {
                // They take room, and nothing may go for them. Whoever reads one of them meanwhile
                // reads what it is a copy of. One that was there before is none.
                for pack in copies.packs.difference(&self.there) {
                    remove(&pack::file(&packs(root), pack))?;
                }
                Err(error)
            }
        }
    }

    /// The packs that are to go of which all that is needed was copied. What cannot be read keeps its
    /// packs: who knows whether it can be one day. And what was written anew may be what was there.
    fn without_needed(&self, copies: &Copies) -> BTreeMap<PackId, u64> {
        let not_copied = self.saved.iter().filter(|(chunk, _)| !copies.chunks.contains(*chunk));
        let needed: BTreeSet<_> =
            not_copied.flat_map(|(_, places)| places).map(|(pack, _)| pack).collect();
        let is_of_no_use = |pack: &PackId| !needed.contains(pack) && !copies.packs.contains(pack);
        let of_no_use = self.going.iter().filter(|(pack, _)| is_of_no_use(pack));
        of_no_use.map(|(pack, length)| (*pack, *length)).collect()
    }

    fn copy(&self, root: &Path, copies: &mut Copies) -> Result<(), StoreError> {
        let folder = packs(root);
        let mut in_order: Vec<_> = self.saved.iter().collect();
        in_order.sort_by_key(|(_, places)| places.first().map(|(id, place)| (*id, place.offset)));
        let (mut open, mut writing) = (Open::default(), None);
        for (chunk, places) in in_order {
            let found = places.iter().find_map(|(id, place)| {
                let stored = pack::stored(open.pack(&folder, id)?, chunk, *place)?;
                Some((stored, place.raw))
            });
            let Some((stored, raw)) = found else { continue };
            let (mut pack, mut chunks) = match writing.take() {
                Some(writing) => writing,
                None => (PackWriter::begin(&folder)?, Vec::new()),
            };
            pack.add(chunk, &stored, raw)?;
            chunks.push(*chunk);
            if pack.length() < LARGEST_PACK {
                writing = Some((pack, chunks));
            } else {
                copies.add(pack, &folder, chunks)?;
            }
        }
        if let Some((pack, chunks)) = writing {
            copies.add(pack, &folder, chunks)?;
        }
        Ok(())
    }
}

/// The pack that was read last.
#[derive(Default)]
struct Open(Option<(PackId, fs::File)>);

impl Open {
    fn pack(&mut self, folder: &Path, id: &PackId) -> Option<&fs::File> {
        if self.0.as_ref().is_none_or(|(open, _)| open != id) {
            self.0 = Some((*id, fs::File::open(pack::file(folder, id)).ok()?));
        }
        self.0.as_ref().map(|(_, file)| file)
    }
}

/// Leaves out the packs with chunks that checkpoints need which came since it was found out what is
/// needed.
fn without_newly_needed(
    root: &Path,
    mut going: BTreeMap<PackId, u64>,
    seen: &BTreeSet<(TaskId, CheckpointId)>,
    needed: &mut Needed,
) -> Result<BTreeMap<PackId, u64>, StoreError> {
    let came: Vec<_> =
        manifest::all(root)?.into_iter().filter(|manifest| !seen.contains(manifest)).collect();
    if came.is_empty() {
        return Ok(going);
    }
    let chunks = chunks(root)?;
    let mut newly = HashSet::new();
    for (task, id) in came {
        newly.extend(add(needed, &chunks, root, &task, &id)?);
    }
    let folder = packs(root);
    let mut spared = Vec::new();
    for id in going.keys() {
        let list = pack::list(&folder, id)?;
        if list.iter().any(|(chunk, _)| newly.contains(chunk)) {
            spared.push(*id);
        }
    }
    for id in spared {
        going.remove(&id);
    }
    Ok(going)
}

/// Removes what kills left of files that were being written. Nobody writes now.
fn sweep(root: &Path) -> Result<(), StoreError> {
    let mut folders = vec![root.to_owned(), packs(root)];
    for below in ["manifests", "caches"] {
        let folder = root.join(below);
        for entry in write::entries(&folder)? {
            if entry.file_type().map_err(io_error("look at", entry.path()))?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    for folder in folders {
        for entry in write::entries(&folder)? {
            if entry.file_name().as_encoded_bytes().starts_with(write::TEMPORARY.as_bytes()) {
                remove(&entry.path())?;
            }
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // R96: on a full disk that goes which is no longer needed, however little was copied.
    #[test]
    fn packs_go_of_which_all_that_is_needed_was_copied() {
        let id = |name: &str| PackId::of(name.as_bytes());
        let at = |pack: &str| (id(pack), Place { offset: 0, stored: 1, raw: 1 });
        let names = ["a", "b", "c", "d"];
        let heaps = Heaps {
            there: BTreeSet::new(),
            going: names.map(|name| (id(name), 1)).into(),
            saved: [
                (id("in a"), vec![at("a")]),
                (id("in a and b"), vec![at("a"), at("b")]),
                (id("in b"), vec![at("b")]),
                (id("in d"), vec![at("d")]),
            ]
            .into(),
        };
        let goes = |chunks: &[&str], packs: &[&str]| -> Vec<_> {
            let copies = Copies {
                chunks: chunks.iter().map(|name| id(name)).collect(),
                packs: packs.iter().map(|name| id(name)).collect(),
                bytes: 0,
            };
            let going = heaps.without_needed(&copies);
            names.into_iter().filter(|name| going.contains_key(&id(name))).collect()
        };
        assert_eq!(goes(&[], &[]), ["c"]);
        assert_eq!(goes(&["in a", "in a and b"], &["new"]), ["a", "c"]);
        assert_eq!(goes(&["in a", "in a and b", "in b", "in d"], &["d"]), ["a", "b", "c"]);
    }
}
