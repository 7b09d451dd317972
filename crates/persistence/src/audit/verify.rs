//! Checking an audit log by its files alone.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::value::RawValue;

use crate::error::io_error;
use crate::{StorageError, TaskFolder};

use super::files::{Archive, archives, is_damage, open_active};
use super::line::{End, Line, LineText, Lines};

/// A log in which every line is what was written, and follows the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many events it has.
    pub events: u64,
    /// The hash of the last line, which stands for all of them.
    pub sha256: String,
}

/// Checks every line of a task's audit log and the chain between them, over the archives and the file
/// that is written to. Whole lines that were cut off the end are the one thing that does not show.
///
/// # Errors
/// When a file cannot be read, or for the first line that was changed, removed or put in:
/// [`StorageError::Damaged`] with the file, and the line in its reason.
pub fn verify(folder: &TaskFolder) -> Result<Verified, StorageError> {
    verify_each(folder, &mut |_| {})
}

/// The same, and gives each event as it stands in the file, the oldest first.
///
/// # Errors
/// Those of [`verify`]. What was given before stands in the log.
pub fn verify_each(
    folder: &TaskFolder,
    each: &mut dyn FnMut(&RawValue),
) -> Result<Verified, StorageError> {
    // Opened before the archives are listed: what is archived meanwhile is read twice, not missed.
    let active = open_active(folder)?;
    let archives = archives(folder)?;
    if active.is_none() && archives.is_empty() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        return Err(io_error("open", folder.audit_file())(missing));
    }
    let mut end = End::start();
    let mut newest: Option<(&Archive, End)> = None;
    for archive in &archives {
        newest = Some((archive, end.clone()));
        let mut reader = archive.open().map_err(io_error("open", &archive.path))?;
        Check { path: &archive.path, end: &mut end, each }.all(&mut reader)?;
        if end.task_seq != archive.last {
            let reason =
                format!("it ends with event {}, and its name says otherwise", end.task_seq);
            return Err(StorageError::Damaged { path: archive.path.clone(), reason });
        }
    }
    if let Some(mut active) = active {
        let path = folder.audit_file();
        let begins = first_place(&mut active).map_err(io_error("read", &path))?;
        match newest {
            // It is archived, and not removed yet: it has to say the same.
            Some((archive, before)) if begins == Some(archive.first) => {
                let mut again = before;
                Check { path: &path, end: &mut again, each: &mut |_| {} }.all(&mut active)?;
                if again != end {
                    let reason = "it begins like the newest archive, and does not end like it";
                    return Err(StorageError::Damaged { path, reason: reason.to_owned() });
                }
            }
            _ => Check { path: &path, end: &mut end, each }.all(&mut active)?,
        }
    }
    Ok(Verified { events: end.task_seq, sha256: end.sha256 })
}

/// The place of the first event of a file, which is read from its start again.
fn first_place(file: &mut BufReader<File>) -> io::Result<Option<u64>> {
    let read = Lines::of(file).next()?;
    io::Seek::rewind(file)?;
    Ok(match read {
        Some(LineText::Line(text)) => Line::parse(&text).ok().map(|(_, task_seq)| task_seq),
        _ => None,
    })
}

/// A file that is being checked.
struct Check<'a> {
    path: &'a Path,
    /// Behind the line that was checked last.
    end: &'a mut End,
    each: &'a mut dyn FnMut(&RawValue),
}

impl Check<'_> {
    fn all(&mut self, reader: &mut dyn BufRead) -> Result<(), StorageError> {
        let mut lines = Lines::of(reader);
        loop {
            let read = lines.next();
            let damaged = |reason: String| StorageError::Damaged {
                path: self.path.to_owned(),
                reason: format!("line {}: {reason}", lines.number),
            };
            let text = match read {
                Ok(None) => return Ok(()),
                Ok(Some(LineText::Line(text))) => text,
                Ok(Some(LineText::NoLine(reason))) => return Err(damaged(reason.to_owned())),
                Err(error) if is_damage(&error) => return Err(damaged(error.to_string())),
                Err(error) => return Err(io_error("read", self.path)(error)),
            };
            let (line, task_seq) = Line::parse(&text).map_err(damaged)?;
            let expected = self.end.task_seq + 1;
            if task_seq > expected {
                let missing =
                    format!("events {expected} to {} are missing before it", task_seq - 1);
                return Err(damaged(missing));
            }
            if task_seq < expected || line.prev != self.end.sha256 {
                return Err(damaged("it does not follow the line before it".to_owned()));
            }
            (self.each)(&line.event);
            *self.end = End { task_seq, sha256: line.sha256 };
        }
    }
}
