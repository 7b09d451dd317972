//! Trees that come into the store member by member, in whatever order, and become chunks when all is
//! there. Nothing is made on a disk meanwhile, so a name can lead nowhere; it only has to be one that
//! can be made when the tree is restored.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::ChunkId;
use crate::error::StoreError;
use crate::fault::ArchiveFault;
use crate::ingest::Ingest;
use crate::limits::Budget;
use crate::manifest::{RootRecord, Stats};
use crate::pack::LARGEST;
use crate::seal;
use crate::tree::{Entry, Kind, Meta, Tree};
use crate::walk::join;

/// What Linux lets a name and a path be, in bytes.
const NAME: usize = 255;
pub(crate) const PATH: usize = 4095;

/// Trees that grow. Folders are in one list, each behind the one that it is in, so that no step calls
/// itself, however deep a tree is.
#[derive(Debug)]
pub(crate) struct Planting {
    folders: Vec<Folder>,
    roots: Vec<Root>,
    /// Whether the first name of a path is the root that the rest is in.
    names_roots: bool,
}

#[derive(Debug)]
struct Folder {
    above: usize,
    name: Vec<u8>,
    /// Made up as long as only something in it has come.
    meta: Option<Meta>,
    is_implied: bool,
    entries: BTreeMap<Vec<u8>, Node>,
}

#[derive(Debug)]
enum Node {
    Folder(usize),
    Other(Box<(Meta, Kind)>),
}

#[derive(Debug)]
struct Root {
    name: String,
    added: u64,
    /// Names of one file, in groups, and in which group a name is.
    links: Vec<Vec<Vec<u8>>>,
    linked: HashMap<Vec<u8>, usize>,
}

/// Where something is: in which tree, and the names that lead to it from there.
#[derive(Debug)]
pub(crate) struct Place {
    root: usize,
    names: Vec<Vec<u8>>,
}

impl Planting {
    /// One tree, which all paths are in.
    pub(crate) fn one(name: &str) -> Self {
        Self { names_roots: false, ..Self::several(vec![name.to_owned()]) }
    }

    /// Trees whose names paths begin with.
    pub(crate) fn several(names: Vec<String>) -> Self {
        let folders = (0..names.len()).map(|root| Folder::new(root, Vec::new())).collect();
        let root = |name| Root { name, added: 0, links: Vec::new(), linked: HashMap::new() };
        Self { folders, roots: names.into_iter().map(root).collect(), names_roots: true }
    }

    /// Where a path of an archive is.
    pub(crate) fn place(&self, path: &[u8]) -> Result<Place, ArchiveFault> {
        let mut names = names(path)?;
        let mut root = 0;
        if self.names_roots {
            let first = names.first().ok_or(ArchiveFault::EmptyName)?;
            let found = self.roots.iter().position(|root| root.name.as_bytes() == *first);
            root = found.ok_or(ArchiveFault::NoSuchTree)?;
            names.remove(0);
        }
        if names.iter().map(|name| name.len() + 1).sum::<usize>() > PATH + 1 {
            return Err(ArchiveFault::PathTooLong);
        }
        Ok(Place { root, names: names.into_iter().map(<[u8]>::to_vec).collect() })
    }

    /// A folder has come.
    pub(crate) fn folder(
        &mut self,
        place: Place,
        meta: Meta,
        budget: &mut Budget,
    ) -> Result<(), ArchiveFault> {
        let mut names = place.names;
        budget.kept(names.last().map_or(&[], Vec::as_slice), &meta, None)?;
        let Some(name) = names.pop() else { return self.describe(place.root, meta) };
        let above = self.above(place.root, &names, &meta, budget)?;
        match self.folders[above].entries.get(&name) {
            Some(Node::Folder(there)) => self.describe(*there, meta),
            Some(Node::Other(_)) => Err(ArchiveFault::Duplicate),
            None => {
                let new = self.make(above, &name);
                self.describe(new, meta)
            }
        }
    }

    /// Something else has come.
    pub(crate) fn other(
        &mut self,
        place: Place,
        meta: Meta,
        kind: Kind,
        budget: &mut Budget,
    ) -> Result<(), ArchiveFault> {
        let mut names = place.names;
        let name = names.pop().ok_or(ArchiveFault::NotInFolder)?;
        budget.kept(&name, &meta, Some(&kind))?;
        let above = self.above(place.root, &names, &meta, budget)?;
        if self.folders[above].entries.contains_key(&name) {
            return Err(ArchiveFault::Duplicate);
        }
        self.folders[above].entries.insert(name, Node::Other(Box::new((meta, kind))));
        Ok(())
    }

    /// Another name of what has come before.
    pub(crate) fn hard_link(
        &mut self,
        place: Place,
        target: &[u8],
        budget: &mut Budget,
    ) -> Result<(), ArchiveFault> {
        let target = self.place(target).map_err(|fault| match fault {
            ArchiveFault::Absolute | ArchiveFault::Parent | ArchiveFault::NoSuchTree => {
                ArchiveFault::LinkOutside
            }
            _ => ArchiveFault::LinkToNothing,
        })?;
        if target.root != place.root {
            return Err(ArchiveFault::LinkOutside);
        }
        let (meta, kind) = self.find(&target)?.clone();
        let (first, other) = (target.names.join(&b'/'), place.names.join(&b'/'));
        budget.described(first.len() + 2 * other.len())?;
        let root = place.root;
        self.other(place, meta, kind, budget)?;
        let Root { links, linked, .. } = &mut self.roots[root];
        let group = *linked.entry(first.clone()).or_insert_with(|| {
            links.push(vec![first]);
            links.len() - 1
        });
        links[group].push(other.clone());
        linked.insert(other, group);
        Ok(())
    }

    /// Notes what of a tree came into the store, in bytes.
    pub(crate) fn added(&mut self, place: &Place, bytes: u64) {
        self.roots[place.root].added += bytes;
    }

    /// Makes chunks of the folders, the deepest first. A tree of which nothing came is none, but where
    /// it is the only one, and `empty` is what its folder is then.
    pub(crate) fn grow(
        mut self,
        ingest: &Ingest<'_>,
        empty: &Meta,
    ) -> Result<Vec<RootRecord>, StoreError> {
        if self.names_roots {
            let missing = self.roots.iter().zip(&self.folders).find(|(_, at)| at.meta.is_none());
            if let Some((root, _)) = missing {
                let (entry, reason) = (root.name.clone(), ArchiveFault::TreeMissing);
                return Err(StoreError::BadArchive { entry, reason });
            }
        }
        let roots = self.roots.len();
        let mut stats = vec![Stats::default(); self.folders.len()];
        let mut grown: Vec<Option<(Meta, ChunkId)>> = vec![None; self.folders.len()];
        while let Some(folder) = self.folders.pop() {
            let at = self.folders.len();
            let before = ingest.added();
            let mut sum = stats[at];
            let mut entries = Vec::new();
            for (name, node) in folder.entries {
                let (meta, kind) = match node {
                    Node::Other(other) => {
                        sum.files += 1;
                        *other
                    }
                    Node::Folder(below) => {
                        let Some((meta, tree)) = grown[below].take() else { continue };
                        sum = sum.and(stats[below]);
                        sum.folders += 1;
                        (meta, Kind::Folder { tree })
                    }
                };
                if let Kind::File { size, .. } = kind {
                    sum.bytes += size;
                }
                entries.push(Entry { name, meta, kind });
            }
            let encoded = seal::encode(&Tree { entries }, Path::new("a folder of the archive"))?;
            if encoded.len() > LARGEST as usize {
                let path = self.path(folder.above, &folder.name);
                return Err(StoreError::FolderTooLarge { path: OsStr::from_bytes(&path).into() });
            }
            let tree = ingest.chunk(&encoded)?;
            sum.bytes_added += ingest.added() - before;
            stats[at] = sum;
            grown[at] = Some((folder.meta.unwrap_or_else(|| empty.clone()), tree));
        }
        let records = self.roots.into_iter().zip(grown.into_iter().zip(stats).take(roots));
        let record = |(root, (grown, stats)): (Root, (Option<(Meta, ChunkId)>, Stats))| {
            let (meta, tree) = grown?;
            let mut links = root.links;
            for group in &mut links {
                group.sort_unstable();
            }
            links.sort_unstable();
            let bytes_added = stats.bytes_added + root.added;
            let stats = Stats { files_read: stats.files, bytes_added, ..stats };
            Some(RootRecord { name: root.name, tree, meta, stats, links, left_out: Vec::new() })
        };
        Ok(records.filter_map(record).collect())
    }

    /// The folder that these names lead to. What no entry is of is made up: anybody may look into it,
    /// and its owner and time are those of what is in it and came first.
    fn above(
        &mut self,
        root: usize,
        names: &[Vec<u8>],
        meta: &Meta,
        budget: &mut Budget,
    ) -> Result<usize, ArchiveFault> {
        let made_up = || Meta { mode: 0o755, xattrs: Vec::new(), ..meta.clone() };
        let mut at = root;
        self.folders[at].meta.get_or_insert_with(made_up);
        for name in names {
            at = match self.folders[at].entries.get(name) {
                Some(Node::Folder(below)) => *below,
                Some(Node::Other(_)) => return Err(ArchiveFault::NotInFolder),
                None => {
                    budget.entry()?;
                    budget.described(name.len())?;
                    let new = self.make(at, name);
                    self.folders[new].meta = Some(made_up());
                    new
                }
            };
        }
        Ok(at)
    }

    fn make(&mut self, above: usize, name: &[u8]) -> usize {
        let new = self.folders.len();
        self.folders.push(Folder::new(above, name.to_vec()));
        self.folders[above].entries.insert(name.to_vec(), Node::Folder(new));
        new
    }

    fn describe(&mut self, folder: usize, meta: Meta) -> Result<(), ArchiveFault> {
        let folder = &mut self.folders[folder];
        if !folder.is_implied {
            return Err(ArchiveFault::Duplicate);
        }
        (folder.meta, folder.is_implied) = (Some(meta), false);
        Ok(())
    }

    fn find(&self, place: &Place) -> Result<&(Meta, Kind), ArchiveFault> {
        let (name, above) = place.names.split_last().ok_or(ArchiveFault::LinkToFolder)?;
        let mut at = place.root;
        for name in above {
            match self.folders[at].entries.get(name) {
                Some(Node::Folder(below)) => at = *below,
                Some(Node::Other(_)) | None => return Err(ArchiveFault::LinkToNothing),
            }
        }
        match self.folders[at].entries.get(name) {
            Some(Node::Other(other)) => Ok(other),
            Some(Node::Folder(_)) => Err(ArchiveFault::LinkToFolder),
            None => Err(ArchiveFault::LinkToNothing),
        }
    }

    /// The path of something in a folder, for errors.
    fn path(&self, mut above: usize, name: &[u8]) -> Vec<u8> {
        let mut path = name.to_vec();
        while let Some(folder) = self.folders.get(above).filter(|folder| !folder.name.is_empty()) {
            path = join(&folder.name, &path);
            above = folder.above;
        }
        path
    }
}

impl Folder {
    const fn new(above: usize, name: Vec<u8>) -> Self {
        Self { above, name, meta: None, is_implied: true, entries: BTreeMap::new() }
    }
}

/// The names in a path, if something can be made there. `tar` writes `./` in front of all, when it is
/// asked for what is in a folder.
fn names(path: &[u8]) -> Result<Vec<&[u8]>, ArchiveFault> {
    if path.starts_with(b"/") {
        return Err(ArchiveFault::Absolute);
    }
    if path.contains(&0) {
        return Err(ArchiveFault::ZeroByte);
    }
    let below = path.strip_prefix(b"./").unwrap_or(path);
    let below = below.strip_suffix(b"/").unwrap_or(below);
    if below.is_empty() && !path.is_empty() || path == b"." {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for name in below.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => return Err(ArchiveFault::EmptyName),
            b".." => return Err(ArchiveFault::Parent),
            name if name.len() > NAME => return Err(ArchiveFault::NameTooLong),
            name => names.push(name),
        }
    }
    Ok(names)
}
