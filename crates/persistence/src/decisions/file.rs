//! `decisions.md` as a whole.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use armor_core::decision::Decision;

use crate::error::io_error;
use crate::folder::sync_folder;
use crate::{StorageError, TaskFolder};

use super::entry::{Entry, HEADING};

/// What the file begins with.
const TITLE: &str = "# Decisions\n";
/// How much of the file's end is read to find the last entry; more when the entry is longer.
const END_BYTES: u64 = 16 * 1024;

/// Reads the decisions about a task, the oldest first. There are none where there is no file.
///
/// # Errors
/// When the file cannot be read, or something in it is not what was written.
pub fn load(folder: &TaskFolder) -> Result<Vec<Decision>, StorageError> {
    let entries = entries(&folder.decisions_file())?;
    Ok(entries.into_iter().map(|entry| entry.decision).collect())
}

/// How far the file goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// To an entry of this number, for the event at this place. Both are 0 where there is none.
    At {
        /// The entry's.
        number: u64,
        /// The event's.
        place: u64,
    },
    /// The last entry is not what was written.
    Damaged,
}

/// The text of a file with these entries; empty when there are none.
pub(super) fn text_of(entries: &[Entry]) -> String {
    let mut text = String::new();
    if !entries.is_empty() {
        text.push_str(TITLE);
    }
    add(entries, &mut text);
    text
}

fn add(entries: &[Entry], text: &mut String) {
    for entry in entries {
        text.push('\n');
        entry.write(text);
    }
}

/// Reads all entries.
pub(super) fn entries(path: &Path) -> Result<Vec<Entry>, StorageError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(io_error("read", path))?,
    };
    let damaged = |line: usize, reason: &str| StorageError::Damaged {
        path: path.to_owned(),
        reason: format!("line {line}: {reason}"),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        damaged(line_of(good), "it is no text")
    })?;
    let Some(mut rest) = text.strip_prefix(TITLE) else {
        return if text.is_empty() { Ok(Vec::new()) } else { Err(damaged(1, "no title of ours")) };
    };
    let mut entries: Vec<Entry> = Vec::new();
    while !rest.is_empty() {
        let line = line_of(&text.as_bytes()[..text.len() - rest.len()]) + 1;
        let failed = |reason: &str| damaged(line, &format!("in the entry here, {reason}"));
        let begun = rest.strip_prefix('\n').filter(|entry| entry.starts_with(HEADING));
        let begun = begun.ok_or_else(|| failed("there is no heading of ours"))?;
        let length = begun.find("\n\n## ").map_or(begun.len(), |end| end + 1);
        let entry = Entry::parse(&begun[..length]).map_err(failed)?;
        let follows = entries.last().map_or((0, 0), |last| (last.number, last.place));
        if entry.number != follows.0 + 1 || entry.place <= follows.1 {
            return Err(failed("the number does not follow the one before"));
        }
        entries.push(entry);
        rest = &begun[length..];
    }
    Ok(entries)
}

/// The number of the line at the end of this text.
fn line_of(text: &[u8]) -> usize {
    text.split(|byte| *byte == b'\n').count()
}

/// Finds out how far the file goes.
pub(super) fn end_of(path: &Path) -> Result<Tail, StorageError> {
    let Some(last) = last_entry(path).map_err(io_error("read the end of", path))? else {
        return Ok(Tail::At { number: 0, place: 0 });
    };
    let entry = std::str::from_utf8(&last).ok().and_then(|text| Entry::parse(text).ok());
    Ok(entry.map_or(Tail::Damaged, |Entry { number, place, .. }| Tail::At { number, place }))
}

/// The last entry of a file, or all of it where no entry begins; none when there is no file.
fn last_entry(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    let begin = format!("\n{HEADING}");
    let mut wanted = END_BYTES;
    loop {
        let start = length.saturating_sub(wanted);
        file.seek(SeekFrom::Start(start))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        match end.windows(begin.len()).rposition(|window| window == begin.as_bytes()) {
            Some(before) => return Ok(Some(end.split_off(before + 1))),
            None if start == 0 => return Ok(Some(end)),
            None => wanted *= 4,
        }
    }
}

/// Appends entries to the file.
pub(super) fn append(path: &Path, entries: &[Entry]) -> Result<(), StorageError> {
    let write = || -> io::Result<()> {
        let mut text = String::new();
        add(entries, &mut text);
        let mut file = File::options().append(true).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    };
    write().map_err(io_error("append to", path))
}

/// Puts a new file in the place of what is there.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("md.new");
    let mut new = File::create(&beside)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}
