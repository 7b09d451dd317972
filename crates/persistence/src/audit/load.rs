//! Reading an audit log: what matches, and what cannot be read.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use armor_core::event::{Event, EventPayload, Level, PAYLOAD_VERSION, Pattern, Seq, Subject};
use armor_core::id::{EventId, TaskId};
use armor_core::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::io_error;
use crate::{StorageError, TaskFolder};

use super::files::{archives, is_damage, open_active};
use super::line::{Line, LineText, Lines};
use super::verify::verify_each;

/// How many findings are told of; the others are counted.
const MAX_FINDINGS: usize = 100;

/// Which entries of an audit log to read. Every filter that is set has to match.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Of this level or a higher one.
    pub level: Option<Level>,
    /// Of a name that one of these matches; of any name when there are none.
    pub events: Vec<Pattern>,
    /// Of this moment or later.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
    /// At most so many, the newest of those that match.
    pub limit: Option<usize>,
}

/// An event as the audit log has it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place in the log of the home.
    pub seq: Seq,
    /// Its place among the events of its task.
    pub task_seq: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// Its name.
    pub name: String,
    /// Its level. None for an event that this program does not know, which no level leaves out.
    pub level: Option<Level>,
    /// All of it, as the text that stands in the file.
    pub event: Box<RawValue>,
}

/// Something in the files that could not be read, and was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In which file.
    pub file: PathBuf,
    /// In which line; the first is 1. Of an archive, after decompressing.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What was read of an audit log.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What matched, the newest last.
    pub entries: Vec<Entry>,
    /// What could not be read, in the order of the files; not more than a hundred.
    pub findings: Vec<Finding>,
    /// How much could not be read.
    pub skipped: u64,
}

/// Reads what matches of a task's audit log, from the archives and the file that is written to. A line
/// that is torn or damaged is skipped and told of. With a limit, older archives are only read as long
/// as there are not enough entries.
///
/// That a line is missing does not show here: [`verify`](super::verify()) finds that.
///
/// # Errors
/// When the system refuses to read a file. That there is none is no error.
pub fn load(folder: &TaskFolder, filter: &AuditFilter) -> Result<Loaded, StorageError> {
    // Opened before the archives are listed: what is archived meanwhile is read twice, not missed.
    let active = open_active(folder)?;
    let archives = archives(folder)?;
    let archived = archives.last().map_or(0, |archive| archive.last);
    let limit = filter.limit.unwrap_or(usize::MAX);

    // The newest first, and each put before what was read already.
    let mut parts: Vec<Part> = Vec::new();
    let mut found = 0;
    if let Some(mut active) = active {
        let part = Part::read(&folder.audit_file(), &mut active, filter, limit, archived)?;
        found += part.entries.len();
        parts.push(part);
    }
    for archive in archives.iter().rev() {
        if found >= limit {
            break;
        }
        let mut reader = archive.open().map_err(io_error("open", &archive.path))?;
        let part = Part::read(&archive.path, &mut reader, filter, limit - found, 0)?;
        found += part.entries.len();
        parts.push(part);
    }

    let mut loaded = Loaded::default();
    for part in parts.into_iter().rev() {
        loaded.entries.extend(part.entries);
        loaded.skipped += part.skipped;
        let room = MAX_FINDINGS - loaded.findings.len();
        loaded.findings.extend(part.findings.into_iter().take(room));
    }
    Ok(loaded)
}

/// The events of a task's audit log, from the first on as far as the log is whole, and what is wrong
/// behind them.
///
/// # Errors
/// When a file cannot be read.
pub fn events(folder: &TaskFolder) -> Result<(Vec<Event>, Option<StorageError>), StorageError> {
    let mut events = Vec::new();
    let mut unknown = None;
    let verified = verify_each(folder, &mut |text| {
        if unknown.is_none() {
            match serde_json::from_str::<WholeEvent>(text.get()).map_err(|e| e.to_string()) {
                Ok(event) => match event.decode() {
                    Ok(event) => events.push(event),
                    Err(reason) => unknown = Some(reason),
                },
                Err(reason) => unknown = Some(reason),
            }
        }
    });
    let path = folder.audit_file();
    let wrong = match verified {
        Ok(_) => unknown.map(|reason| StorageError::Damaged { path, reason }),
        Err(wrong @ StorageError::Damaged { .. }) => Some(wrong),
        Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let reason = "it is not there".to_owned();
            Some(StorageError::Damaged { path, reason })
        }
        Err(error) => return Err(error),
    };
    Ok((events, wrong))
}

/// All of an event, as it stands in a line.
#[derive(Deserialize)]
struct WholeEvent {
    seq: u64,
    id: EventId,
    task: TaskId,
    task_seq: u64,
    at: Timestamp,
    event: String,
    data: Option<Box<RawValue>>,
}

impl WholeEvent {
    fn decode(self) -> Result<Event, String> {
        let data = self.data.as_deref().map_or("null", RawValue::get);
        let payload = EventPayload::decode(&self.event, PAYLOAD_VERSION, data);
        Ok(Event {
            seq: Seq(self.seq),
            id: self.id,
            subject: Subject::Task { task: self.task, task_seq: self.task_seq },
            at: self.at,
            payload: payload.map_err(|error| error.to_string())?,
        })
    }
}

/// What was read of one file.
#[derive(Default)]
struct Part {
    entries: VecDeque<Entry>,
    findings: Vec<Finding>,
    skipped: u64,
}

impl Part {
    /// Reads the last `limit` entries that match, and that are not archived.
    fn read(
        path: &Path,
        reader: &mut dyn BufRead,
        filter: &AuditFilter,
        limit: usize,
        archived: u64,
    ) -> Result<Self, StorageError> {
        let mut part = Self::default();
        let mut lines = Lines::of(reader);
        loop {
            let text = match lines.next() {
                Ok(None) => return Ok(part),
                Ok(Some(LineText::Line(text))) => text,
                Ok(Some(LineText::NoLine(reason))) => {
                    part.note(path, lines.number, reason.to_owned());
                    continue;
                }
                // What comes behind it cannot be decompressed.
                Err(error) if is_damage(&error) => {
                    part.note(path, lines.number, error.to_string());
                    return Ok(part);
                }
                Err(error) => return Err(io_error("read", path)(error)),
            };
            match Line::parse(&text).and_then(|(line, _)| Entry::of(line.event)) {
                Err(reason) => part.note(path, lines.number, reason),
                Ok(entry) if entry.task_seq > archived && filter.matches(&entry) => {
                    part.entries.push_back(entry);
                    if part.entries.len() > limit {
                        part.entries.pop_front();
                    }
                }
                Ok(_) => {}
            }
        }
    }

    fn note(&mut self, path: &Path, line: u64, reason: String) {
        self.skipped += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { file: path.to_owned(), line, reason });
        }
    }
}

impl AuditFilter {
    fn matches(&self, entry: &Entry) -> bool {
        self.level.zip(entry.level).is_none_or(|(wanted, level)| level >= wanted)
            && (self.events.is_empty()
                || self.events.iter().any(|pattern| pattern.matches(&entry.name)))
            && self.from.is_none_or(|from| entry.at >= from)
            && self.to.is_none_or(|to| entry.at < to)
    }
}

impl Entry {
    fn of(event: Box<RawValue>) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Said<'a> {
            seq: u64,
            task_seq: u64,
            at: Timestamp,
            #[serde(borrow)]
            event: Cow<'a, str>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let said: Said<'_> =
            serde_json::from_str(event.get()).map_err(|error| error.to_string())?;
        let data = said.data.map_or("null", RawValue::get);
        let payload = EventPayload::decode(&said.event, PAYLOAD_VERSION, data);
        Ok(Self {
            seq: Seq(said.seq),
            task_seq: said.task_seq,
            at: said.at,
            name: said.event.into_owned(),
            level: payload.ok().map(|payload| payload.level()),
            event,
        })
    }
}
