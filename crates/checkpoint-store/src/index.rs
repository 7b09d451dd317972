//! Where every chunk is: gathered from the lists of the packs, and kept in one file so that opening a
//! store reads one file instead of hundreds. The packs are what counts; a file that does not fit them is
//! made anew. A chunk may be there more than once; a copy that is known to be damaged does not count.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::damage::{self, Damaged};
use crate::error::{StoreError, io_error};
use crate::pack::{self, PackId, Place};
use crate::{ChunkId, write};

const MAGIC: &[u8] = b"armor index 2\n";

/// Where chunks are.
#[derive(Debug, Default)]
pub(crate) struct Index {
    packs: Vec<PackId>,
    places: HashMap<ChunkId, (u32, Place), BuildHasherDefault<FirstBytes>>,
    /// Where those are besides that are there more than once.
    copies: HashMap<ChunkId, Vec<(u32, Place)>, BuildHasherDefault<FirstBytes>>,
    damaged: Damaged,
}

/// Names of chunks are hashes already.
#[derive(Debug, Default)]
pub(crate) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The length of an array, which is always the same.
    fn write_usize(&mut self, _: usize) {}
}

impl Index {
    /// Reads it, and brings it in line with the packs that there are. Those that came since and are
    /// damaged are left out and told of. What is known of one whose own list was damaged since stays.
    pub(crate) fn load(root: &Path) -> Result<(Self, Vec<StoreError>), StoreError> {
        let there = names(&packs(root))?;
        let kept = fs::read(path(root)).ok().and_then(|bytes| Self::decode(&bytes));
        let mut kept = kept.unwrap_or_default().of_packs(&there);
        kept.damaged = damage::load(root);
        let known = kept.packs.len();
        let (index, damaged) = kept.extended(root)?;
        // Now and then, so that opening a store stays fast and taking a checkpoint does, too.
        if index.packs.len() > known + 32
            && damaged.is_empty()
            && let Err(error) = index.keep(root)
        {
            tracing::warn!(%error, "the index is gathered from the packs again the next time");
        }
        Ok((index, damaged))
    }

    /// With the packs that it does not know.
    fn extended(mut self, root: &Path) -> Result<(Self, Vec<StoreError>), StoreError> {
        let folder = packs(root);
        let known: BTreeSet<PackId> = self.packs.iter().copied().collect();
        let mut damaged = Vec::new();
        for pack in names(&folder)?.difference(&known) {
            match pack::list(&folder, pack) {
                Ok(list) => self.add(*pack, list),
                Err(error) => damaged.push(error),
            }
        }
        Ok((self, damaged))
    }

    /// Without the packs that are not there any more.
    fn of_packs(self, there: &BTreeSet<PackId>) -> Self {
        if self.packs.iter().all(|pack| there.contains(pack)) {
            return self;
        }
        let mut index = Self { damaged: self.damaged.clone(), ..Self::default() };
        let mut numbers = HashMap::new();
        for (old, pack) in (0_u32..).zip(&self.packs) {
            if let Ok(new) = u32::try_from(index.packs.len())
                && there.contains(pack)
            {
                numbers.insert(old, new);
                index.packs.push(*pack);
            }
        }
        for (chunk, (pack, place)) in self.all() {
            if let Some(number) = numbers.get(pack) {
                index.add_copy(*chunk, (*number, *place));
            }
        }
        index
    }

    /// The packs that are known and whose own lists are damaged by now.
    pub(crate) fn unlisted(&self, root: &Path) -> Vec<(PackId, StoreError)> {
        let folder = packs(root);
        let unlisted = |pack: &PackId| Some((*pack, pack::list(&folder, pack).err()?));
        self.packs.iter().filter_map(unlisted).collect()
    }

    /// What is in some of the packs.
    pub(crate) fn chunks_of<'a>(
        &'a self,
        packs: &'a BTreeSet<PackId>,
    ) -> impl Iterator<Item = (PackId, ChunkId)> + 'a {
        self.all().filter_map(|(chunk, (pack, _))| {
            let pack = *self.packs.get(usize::try_from(*pack).ok()?)?;
            packs.contains(&pack).then_some((pack, *chunk))
        })
    }

    /// Every copy of every chunk.
    fn all(&self) -> impl Iterator<Item = (&ChunkId, &(u32, Place))> {
        let further =
            self.copies.iter().flat_map(|(chunk, at)| at.iter().map(move |at| (chunk, at)));
        self.places.iter().chain(further)
    }

    /// Lets all copies count, until they have been read.
    pub(crate) fn trusted(self) -> Self {
        Self { damaged: Damaged::default(), ..self }
    }

    /// Notes a pack.
    pub(crate) fn add(&mut self, pack: PackId, list: Vec<(ChunkId, Place)>) {
        let Ok(number) = u32::try_from(self.packs.len()) else { return };
        self.packs.push(pack);
        self.places.reserve(list.len());
        for (chunk, place) in list {
            self.add_copy(chunk, (number, place));
        }
    }

    fn add_copy(&mut self, chunk: ChunkId, at: (u32, Place)) {
        match self.places.entry(chunk) {
            Entry::Vacant(free) => {
                free.insert(at);
            }
            Entry::Occupied(_) => self.copies.entry(chunk).or_default().push(at),
        }
    }

    pub(crate) fn contains(&self, chunk: &ChunkId) -> bool {
        self.find(chunk).is_some()
    }

    /// Where a chunk is, as far as anybody knows.
    pub(crate) fn find(&self, chunk: &ChunkId) -> Option<(PackId, Place)> {
        self.copies(chunk).find(|(pack, _)| !self.is_damaged(pack, chunk))
    }

    /// All places where a chunk is, or was.
    fn copies(&self, chunk: &ChunkId) -> impl Iterator<Item = (PackId, Place)> {
        let further = self.copies.get(chunk).into_iter().flatten();
        let all = self.places.get(chunk).into_iter().chain(further);
        all.filter_map(|(pack, place)| {
            Some((*self.packs.get(usize::try_from(*pack).ok()?)?, *place))
        })
    }

    fn is_damaged(&self, pack: &PackId, chunk: &ChunkId) -> bool {
        !self.damaged.is_empty() && self.damaged.contains(&(*pack, *chunk))
    }

    /// Whether anything is known to be damaged.
    pub(crate) fn knows_of_damage(&self) -> bool {
        !self.damaged.is_empty()
    }

    /// Writes it down. It is no harm when that is lost.
    pub(crate) fn keep(&self, root: &Path) -> Result<(), StoreError> {
        let path = path(root);
        let mut file = write::begin(&path)?;
        io::Write::write_all(&mut file, &self.encode()).map_err(io_error("write", &path))?;
        write::put(file, &path)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(self.packs.len() as u64).to_le_bytes());
        for pack in &self.packs {
            bytes.extend_from_slice(pack.as_bytes());
        }
        for (chunk, (pack, place)) in self.all() {
            bytes.extend_from_slice(chunk.as_bytes());
            bytes.extend_from_slice(&pack.to_le_bytes());
            bytes.extend_from_slice(&place.offset.to_le_bytes());
            bytes.extend_from_slice(&place.stored.to_le_bytes());
            bytes.extend_from_slice(&place.raw.to_le_bytes());
        }
        let hash = ChunkId::of(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (bytes, hash) = bytes.split_last_chunk::<32>()?;
        if ChunkId::of(bytes).as_bytes() != hash {
            return None;
        }
        let (count, mut rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
        let mut index = Self::default();
        for _ in 0..u64::from_le_bytes(*count) {
            let (pack, more) = rest.split_first_chunk::<32>()?;
            index.packs.push(PackId::from_bytes(*pack));
            rest = more;
        }
        index.places.reserve(rest.len() / 52);
        for entry in rest.chunks_exact(52) {
            let (chunk, entry) = entry.split_first_chunk::<32>()?;
            let (pack, entry) = entry.split_first_chunk::<4>()?;
            let (offset, entry) = entry.split_first_chunk::<8>()?;
            let (stored, entry) = entry.split_first_chunk::<4>()?;
            let place = Place {
                offset: u64::from_le_bytes(*offset),
                stored: u32::from_le_bytes(*stored),
                raw: u32::from_le_bytes(*entry.first_chunk::<4>()?),
            };
            let pack = u32::from_le_bytes(*pack);
            index.add_copy(ChunkId::from_bytes(*chunk), (pack, place));
        }
        Some(index)
    }
}

/// The folder of the packs of a store.
pub(crate) fn packs(root: &Path) -> PathBuf {
    root.join("packs")
}

fn path(root: &Path) -> PathBuf {
    root.join("index")
}

/// The packs that there are.
pub(crate) fn names(folder: &Path) -> Result<BTreeSet<PackId>, StoreError> {
    let entries = write::entries(folder)?;
    let names = entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(names.collect())
}

/// Reads chunks, with packs that stay open.
#[derive(Debug)]
pub(crate) struct Chunks {
    index: Index,
    root: PathBuf,
    folder: PathBuf,
    open: Mutex<HashMap<PackId, Arc<File>>>,
    /// Copies that were read and are damaged. Several threads read at one time: the second writer.
    found: Mutex<Damaged>,
}

impl Chunks {
    pub(crate) fn new(index: Index, root: &Path) -> Self {
        let (folder, root) = (packs(root), root.to_owned());
        Self { index, root, folder, open: Mutex::default(), found: Mutex::default() }
    }

    pub(crate) const fn index(&self) -> &Index {
        &self.index
    }

    /// Where a chunk is.
    pub(crate) fn find(&self, chunk: &ChunkId) -> Option<(PackId, Place)> {
        self.index.find(chunk)
    }

    /// The bytes of a chunk, checked. Copies that are known to be damaged are tried at last.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no good copy.
    pub(crate) fn read(&self, chunk: &ChunkId) -> Result<Vec<u8>, StoreError> {
        let good = self.index.find(chunk);
        let others = self.index.copies(chunk).filter(|copy| Some(*copy) != good);
        let mut first = None;
        for (pack, place) in good.into_iter().chain(others) {
            match self.read_copy(chunk, &pack, place) {
                Ok(bytes) => return Ok(bytes),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or(StoreError::Missing { chunk: *chunk }))
    }

    /// Reads every copy of a chunk.
    ///
    /// # Errors
    /// When none is good.
    pub(crate) fn check(&self, chunk: &ChunkId) -> Result<(), StoreError> {
        let mut checked = Err(StoreError::Missing { chunk: *chunk });
        for (pack, place) in self.index.copies(chunk) {
            let read = self.read_copy(chunk, &pack, place);
            checked = checked.or(read.map(drop));
        }
        checked
    }

    /// Whether a chunk can be read from a pack for which `is_wanted`.
    pub(crate) fn is_in(&self, chunk: &ChunkId, is_wanted: impl Fn(&PackId) -> bool) -> bool {
        let mut wanted = self.index.copies(chunk).filter(|(pack, _)| is_wanted(pack));
        wanted.any(|(pack, place)| self.read_copy(chunk, &pack, place).is_ok())
    }

    /// What was found to be damaged so far.
    pub(crate) fn found(&self) -> Damaged {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn read_copy(
        &self,
        chunk: &ChunkId,
        pack: &PackId,
        place: Place,
    ) -> Result<Vec<u8>, StoreError> {
        if let Some(bytes) = pack::read(&*self.pack(pack)?, chunk, place) {
            return Ok(bytes);
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.insert((*pack, *chunk)) && !self.index.is_damaged(pack, chunk) {
            damage::note(&self.root, pack, chunk);
        }
        Err(StoreError::Missing { chunk: *chunk })
    }

    /// Several threads read at one time: the second writer of the list of open files.
    fn pack(&self, id: &PackId) -> Result<Arc<File>, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(id) {
            return Ok(file.clone());
        }
        let path = pack::file(&self.folder, id);
        let file = Arc::new(File::open(&path).map_err(io_error("open", path))?);
        if open.len() >= MOST_OPEN {
            open.clear();
        }
        open.insert(*id, file.clone());
        Ok(file)
    }
}

/// Packs that are open at one time.
const MOST_OPEN: usize = 64;
