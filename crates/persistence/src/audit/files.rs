//! The files of an audit log: the one that is written to, and the archives of earlier lines.
//!
//! A file becomes an archive in steps, each durable before the next: it is compressed beside its
//! place, the copy gets its name, the file is removed. A kill in between leaves lines that stand in
//! both; [`settle`] finds that and finishes what was begun.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::io_error;
use crate::folder::sync_folder;
use crate::{StorageError, TaskFolder};

use super::line::{End, Line, LineText, Lines};

/// How much of a file's end is read to find the last line; more when the line is longer.
const END_BYTES: u64 = 8 * 1024;
/// What ends the name of an archive.
const EXTENSION: &str = ".jsonl.zst";

/// An archive, as its name tells of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Archive {
    /// The place of its first event among those of the task.
    pub(super) first: u64,
    /// The place of its last.
    pub(super) last: u64,
    pub(super) path: PathBuf,
}

impl Archive {
    pub(super) fn of(folder: &TaskFolder, first: u64, last: u64) -> Self {
        Self { first, last, path: folder.logs().join(name("audit", first, last)) }
    }

    fn parse(path: PathBuf) -> Option<Self> {
        let text = path.file_name()?.to_str()?;
        let (first, last) =
            text.strip_prefix("audit.")?.strip_suffix(EXTENSION)?.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (name("audit", first, last) == text).then_some(Self { first, last, path })
    }

    /// Its text.
    pub(super) fn open(&self) -> io::Result<Box<dyn BufRead + Send>> {
        let decoder = zstd::Decoder::new(File::open(&self.path)?)?;
        Ok(Box::new(BufReader::new(decoder)))
    }
}

/// The name of an archive. Names sort as their lines do.
pub(super) fn name(stem: &str, first: u64, last: u64) -> String {
    format!("{stem}.{first:010}-{last:010}{EXTENSION}")
}

/// The archives of a log, the oldest first. That they follow on each other is not said.
pub(super) fn archives(folder: &TaskFolder) -> Result<Vec<Archive>, StorageError> {
    let logs = folder.logs();
    let failed = || io_error("list", &logs);
    let entries = match fs::read_dir(&logs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed())?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(Archive::parse(entry.map_err(failed())?.path()));
    }
    found.sort_unstable();
    Ok(found)
}

/// The file that is written to, if it is there.
pub(super) fn open_active(folder: &TaskFolder) -> Result<Option<BufReader<File>>, StorageError> {
    let path = folder.audit_file();
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(|file| Some(BufReader::new(file))).map_err(io_error("open", path)),
    }
}

/// How far a log goes, as far as that can be told by its ends.
#[derive(Debug)]
pub(super) enum Tail {
    /// To here.
    At(End),
    /// It is not what was written.
    Damaged,
}

/// Finishes what a killed process began with the files, and says how far the log goes.
pub(super) fn settle(folder: &TaskFolder) -> Result<Tail, StorageError> {
    let archives = archives(folder)?;
    let path = folder.audit_file();
    let first = match first_place(folder)? {
        First::Place(first) => first,
        First::Nothing if is_row(&archives) => return end_of_archives(&archives),
        First::Nothing | First::Damaged => return Ok(Tail::Damaged),
    };
    let Some(newest) = archives.last() else {
        return if first == 1 { end_of(&path) } else { Ok(Tail::Damaged) };
    };
    if is_row(&archives) {
        if first == newest.last + 1 {
            return end_of(&path);
        }
        if first == newest.first && says_the_same(newest, &path)? {
            // It was archived, and is still there.
            remove(&path)?;
            return end_of_archives(&archives);
        }
    }
    if first == 1 {
        // It was written anew as a whole, or its archive is not what it says. It goes on as if there
        // were no archives, and becomes some.
        remove_archives(&archives)?;
        return end_of(&path);
    }
    Ok(Tail::Damaged)
}

/// Makes an archive of the file that is written to. Its lines are those from `first` to `last`.
pub(super) fn seal(folder: &TaskFolder, first: u64, last: u64) -> Result<(), StorageError> {
    let path = folder.audit_file();
    let archive = Archive::of(folder, first, last);
    let beside = folder.logs().join("audit.archive.new");
    compress(&path, &beside).map_err(io_error("compress", &path))?;
    fs::rename(&beside, &archive.path).map_err(io_error("rename", &beside))?;
    sync_folder(&folder.logs()).map_err(io_error("sync", folder.logs()))?;
    remove(&path)
}

/// Makes a file compressed beside it, which is durable but for its name.
pub(super) fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(File::create(to)?, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    io::copy(&mut File::open(from)?, &mut encoder)?;
    encoder.finish()?.sync_all()
}

/// Removes archives, the newest first, so that those which are left always go on from the start.
pub(super) fn remove_archives(archives: &[Archive]) -> Result<(), StorageError> {
    archives.iter().rev().try_for_each(|archive| remove(&archive.path))
}

fn remove(path: &Path) -> Result<(), StorageError> {
    let removed = fs::remove_file(path).and_then(|()| path.parent().map_or(Ok(()), sync_folder));
    removed.map_err(io_error("remove", path))
}

/// Whether each archive begins where the one before ends, from the first event on.
fn is_row(archives: &[Archive]) -> bool {
    let mut end = 0;
    archives.iter().all(|archive| {
        let follows = archive.first == end + 1 && archive.last >= archive.first;
        end = archive.last;
        follows
    })
}

/// The place of the first event in a file.
pub(super) enum First {
    /// There is no file, or nothing in it.
    Nothing,
    /// This one.
    Place(u64),
    /// The first line cannot be read.
    Damaged,
}

/// The place of the first event in the file that is written to.
pub(super) fn first_place(folder: &TaskFolder) -> Result<First, StorageError> {
    let Some(mut file) = open_active(folder)? else { return Ok(First::Nothing) };
    let read = Lines::of(&mut file).next().map_err(io_error("read", folder.audit_file()))?;
    Ok(match read {
        None => First::Nothing,
        Some(LineText::Line(text)) => {
            Line::parse(&text).map_or(First::Damaged, |(_, task_seq)| First::Place(task_seq))
        }
        Some(LineText::NoLine(_)) => First::Damaged,
    })
}

/// Whether an archive and a file have the same text.
fn says_the_same(archive: &Archive, path: &Path) -> Result<bool, StorageError> {
    let mut file =
        File::open(path).map(BufReader::new).map_err(io_error("open", path.to_owned()))?;
    let mut archived = archive.open().map_err(io_error("open", &archive.path))?;
    loop {
        let ours = file.fill_buf().map_err(io_error("read", path))?;
        let theirs = match archived.fill_buf() {
            Err(error) if is_damage(&error) => return Ok(false),
            read => read.map_err(io_error("read", &archive.path))?,
        };
        let length = ours.len().min(theirs.len());
        if length == 0 {
            return Ok(ours.is_empty() && theirs.is_empty());
        }
        if ours[..length] != theirs[..length] {
            return Ok(false);
        }
        file.consume(length);
        archived.consume(length);
    }
}

/// Whether reading an archive failed on what is in it, and not on the system.
pub(super) fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

fn end_of_archives(archives: &[Archive]) -> Result<Tail, StorageError> {
    let Some(newest) = archives.last() else { return Ok(Tail::At(End::start())) };
    let failed = || io_error("read", &newest.path);
    let mut reader = newest.open().map_err(failed())?;
    let mut lines = Lines::of(&mut reader);
    let mut last = None;
    loop {
        match lines.next() {
            Ok(Some(LineText::Line(text))) => last = Some(text),
            Ok(None) => break,
            Ok(Some(LineText::NoLine(_))) => return Ok(Tail::Damaged),
            Err(error) if is_damage(&error) => return Ok(Tail::Damaged),
            Err(error) => return Err(failed()(error)),
        }
    }
    Ok(match last.as_deref().map(Line::parse) {
        Some(Ok((line, task_seq))) if task_seq == newest.last => {
            Tail::At(End { task_seq, sha256: line.sha256 })
        }
        _ => Tail::Damaged,
    })
}

/// Finds out how far a file goes that has lines in it.
fn end_of(path: &Path) -> Result<Tail, StorageError> {
    let last = last_line(path).map_err(io_error("read the end of", path))?;
    // A file that does not end with a newline has a torn last line.
    let Some(last) = last.strip_suffix(b"\n") else {
        return Ok(Tail::Damaged);
    };
    Ok(match Line::parse(last) {
        Ok((line, task_seq)) => Tail::At(End { task_seq, sha256: line.sha256 }),
        Err(_) => Tail::Damaged,
    })
}

/// The last line of a file with its newline.
fn last_line(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut wanted = END_BYTES;
    loop {
        let start = length.saturating_sub(wanted);
        file.seek(SeekFrom::Start(start))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        let body = end.strip_suffix(b"\n").unwrap_or(&end);
        match body.iter().rposition(|byte| *byte == b'\n') {
            Some(before) => return Ok(end.split_off(before + 1)),
            None if start == 0 => return Ok(end),
            None => wanted *= 4,
        }
    }
}
