//! Taking in an archive as a checkpoint. Nothing of it is made on a disk: what its files hold goes into
//! the store, and the rest into trees, so whoever made it cannot write anywhere. A checkpoint is there
//! when the archive has come to its end and its checksums fit; of a refused one nothing is left but
//! chunks that nobody names.
//!
//! Links are kept as they are, wherever they point, as in every checkpoint: restoring makes them and
//! follows none.

use std::fmt;
use std::io::{self, BufReader, Read};

use armor_core::sandbox::UserIds;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use crate::error::{StoreError, io_error};
use crate::export::{ABOUT, FORMAT};
use crate::fault::ArchiveFault;
use crate::ingest::{Ingest, IngestError, hole};
use crate::limits::Budget;
use crate::manifest::RootRecord;
use crate::member::{Broken, Member, Members, What};
use crate::pack::LARGEST;
use crate::planting::{PATH, Planting};
use crate::tree::{Kind, Meta, Moment};

/// What the archive of a project is taken in as.
const WORKSPACE: &str = "workspace";
/// How many trees a checkpoint may have, and how long their names are.
const ROOTS: usize = 16;
const ROOT_NAME: usize = 64;
/// How much of a path an error quotes.
const QUOTED: usize = 120;

/// What the first file of an exported checkpoint says that has to be known to take it in.
#[derive(Deserialize)]
struct About {
    format: u32,
    roots: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Takes in the trees of an archive. One that had no folder and nothing in it is of the moment `at`.
pub(crate) fn import(
    ingest: &Ingest<'_>,
    at: Moment,
    owner: Option<UserIds>,
    from: impl Read,
    mut budget: Budget,
) -> Result<Vec<RootRecord>, StoreError> {
    let mut members = open(from)?;
    match take_in(ingest, owner, &mut members, &mut budget) {
        Ok(planting) => {
            let mut empty = Meta { mode: 0o755, uid: 0, gid: 0, mtime: at, xattrs: Vec::new() };
            give(&mut empty, owner, true);
            planting.grow(ingest, &empty)
        }
        Err(Broken::Store(error)) => Err(error),
        Err(Broken::Fault(fault)) => Err(bad(&members.at, fault)),
        Err(Broken::Read(error)) => Err(unread(&members.at, error)),
    }
}

fn open(from: impl Read) -> Result<Members<impl Read>, StoreError> {
    let mut from = Source(from);
    let mut magic = [0; 2];
    match from.read_exact(&mut magic) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(bad(b"", ArchiveFault::NotGzip));
        }
        Err(error) => return Err(unread(b"", error)),
        Ok(()) if magic != [0x1F, 0x8B] => return Err(bad(b"", ArchiveFault::NotGzip)),
        Ok(()) => {}
    }
    let compressed = BufReader::with_capacity(64 << 10, io::Cursor::new(magic).chain(from));
    Ok(Members::new(BufReader::with_capacity(256 << 10, MultiGzDecoder::new(compressed))))
}

/// Makes it another owner's, as a working copy's files are: without what a program would gain by its
/// file, and so that what is made in a folder has the folder's group.
fn give(meta: &mut Meta, owner: Option<UserIds>, is_folder: bool) {
    let Some(UserIds { uid, gid }) = owner else { return };
    (meta.uid, meta.gid) = (uid, gid);
    meta.mode = if is_folder { meta.mode & 0o1777 | 0o2700 } else { meta.mode & 0o1777 };
    meta.xattrs.retain(|(name, _)| !name.starts_with(b"security."));
}

fn take_in(
    ingest: &Ingest<'_>,
    owner: Option<UserIds>,
    members: &mut Members<impl Read>,
    budget: &mut Budget,
) -> Result<Planting, Broken> {
    let mut next = members.next(budget)?;
    let is_ours = next.as_ref().is_some_and(|first| {
        first.path == ABOUT.as_bytes() && matches!(first.what, What::File { .. })
    });
    let mut planting = if is_ours {
        let roots = roots(members)?;
        next = members.next(budget)?;
        Planting::several(roots)
    } else {
        Planting::one(WORKSPACE)
    };
    while let Some(mut member) = next {
        give(&mut member.meta, owner, matches!(member.what, What::Folder));
        plant(ingest, members, budget, &mut planting, member)?;
        next = members.next(budget)?;
    }
    Ok(planting)
}

/// Reads which trees an exported checkpoint has.
fn roots(members: &mut Members<impl Read>) -> Result<Vec<String>, Broken> {
    let mut text = Vec::new();
    members.take(u64::from(LARGEST)).read_to_end(&mut text)?;
    let about: About = serde_json::from_slice(&text).map_err(|_| ArchiveFault::About)?;
    if about.format != FORMAT {
        return Err(ArchiveFault::Format(about.format).into());
    }
    let mut names: Vec<String> = Vec::new();
    for Named { name } in about.roots {
        let is_plain = (1..=ROOT_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !is_plain || names.contains(&name) || names.len() == ROOTS {
            return Err(ArchiveFault::About.into());
        }
        names.push(name);
    }
    Ok(names)
}

fn plant(
    ingest: &Ingest<'_>,
    members: &mut Members<impl Read>,
    budget: &mut Budget,
    planting: &mut Planting,
    Member { path, mut meta, what }: Member,
) -> Result<(), Broken> {
    let place = planting.place(&path)?;
    match what {
        What::Folder => planting.folder(place, meta, budget)?,
        What::File { size, parts } => {
            let before = ingest.added();
            let mut pieces = Vec::new();
            let mut at = 0;
            for (from, length) in parts {
                hole(&mut pieces, from - at);
                at = from + ingest.content((&mut *members).take(length), &mut pieces)?;
            }
            hole(&mut pieces, size - at);
            planting.added(&place, ingest.added() - before);
            planting.other(place, meta, Kind::File { size, pieces }, budget)?;
        }
        What::HardLink { target } => planting.hard_link(place, &target, budget)?,
        // As the system makes them: without attributes, and a link with the mode that all have.
        What::Fifo => {
            meta.xattrs.clear();
            planting.other(place, meta, Kind::Fifo, budget)?;
        }
        What::Link { target } => {
            if !(1..=PATH).contains(&target.len()) || target.contains(&0) {
                return Err(ArchiveFault::LinkTarget.into());
            }
            meta = Meta { mode: 0o777, xattrs: Vec::new(), ..meta };
            planting.other(place, meta, Kind::Link { target }, budget)?;
        }
    }
    Ok(())
}

impl From<IngestError> for Broken {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Read(error) => Self::Read(error),
            IngestError::Keep(error) => Self::Store(error),
        }
    }
}

/// What an archive comes from. Its own errors are told apart from those of decompressing.
struct Source<R>(R);

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, Failed(error)),
        })
    }
}

/// An error of where an archive comes from.
#[derive(Debug)]
struct Failed(io::Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failed {}

/// What an error of reading means.
fn unread(at: &[u8], error: io::Error) -> StoreError {
    if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Failed>) {
        return io_error("read", "the archive")(error);
    }
    let fault = match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveFault::Truncated,
        _ => ArchiveFault::Damaged,
    };
    bad(at, fault)
}

fn bad(at: &[u8], reason: ArchiveFault) -> StoreError {
    let mut entry = String::from_utf8_lossy(&at[..at.len().min(QUOTED)]).into_owned();
    if at.len() > QUOTED {
        entry.push('…');
    }
    StoreError::BadArchive { entry, reason }
}
