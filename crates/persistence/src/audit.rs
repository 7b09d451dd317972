//! Layer 2 (R21): `logs/audit.jsonl`, one event a line.
//!
//! A line is `{"event": …, "prev": …, "sha256": …}`: `sha256` is the hash of the line before,
//! followed by the event's own text, and `prev` repeats the hash before. So a line that is changed,
//! removed or put in is found by reading the file alone. A torn end, and any damage that shows when
//! something is appended, is mended by writing the file anew from the event table.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use armor_core::error::Diagnostic;
use armor_core::event::{Consumer, ConsumerError, ConsumerName, Event, Seq};
use armor_core::id::TaskId;
use armor_registry::{EventQuery, Registry, RegistryError};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::error::io_error;
use crate::folder::sync_folder;
use crate::hash::sha256;
use crate::restored::{Pages, restored_at};
use crate::{StorageError, TaskFolder, TaskFolders};

/// What stands for the hash before the first line.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How much of a file's end is read to find the last line; more when the line is longer.
const END_BYTES: u64 = 8 * 1024;

#[derive(Serialize, Deserialize)]
struct Line {
    event: Box<RawValue>,
    prev: String,
    sha256: String,
}

/// What a line says of its event, as far as the chain needs it.
#[derive(Deserialize)]
struct Place {
    task_seq: u64,
}

/// How far a file goes: the place of its last event, and the hash that the next line binds to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    task_seq: u64,
    sha256: String,
}

impl End {
    fn start() -> Self {
        Self { task_seq: 0, sha256: GENESIS.to_owned() }
    }
}

impl Line {
    fn bind(event: &Event, end: &End) -> serde_json::Result<Self> {
        let event = to_raw_value(event)?;
        let sha256 = sha256(&[end.sha256.as_bytes(), event.get().as_bytes()]);
        Ok(Self { event, prev: end.sha256.clone(), sha256 })
    }

    /// Reads a line and checks it against its own hash.
    fn parse(text: &[u8]) -> Result<(Self, u64), String> {
        let line: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let place: Place =
            serde_json::from_str(line.event.get()).map_err(|error| error.to_string())?;
        if sha256(&[line.prev.as_bytes(), line.event.get().as_bytes()]) != line.sha256 {
            return Err("its hash does not fit its content".to_owned());
        }
        Ok((line, place.task_seq))
    }
}

/// Reads a task's audit log and checks every line and the chain between them. The events come as
/// they stand in the file, oldest first.
///
/// # Errors
/// When the file cannot be read, or for the first line that was changed, removed or put in.
pub fn verify(folder: &TaskFolder) -> Result<Vec<Box<RawValue>>, StorageError> {
    let path = folder.audit_file();
    let file = File::open(&path).map_err(io_error("open", &path))?;
    let mut end = End::start();
    let mut events = Vec::new();
    for (number, text) in BufReader::new(file).split(b'\n').enumerate() {
        let text = text.map_err(io_error("read", &path))?;
        let damaged = |reason: String| StorageError::Damaged {
            path: path.clone(),
            reason: format!("line {}: {reason}", number + 1),
        };
        let (line, task_seq) = Line::parse(&text).map_err(damaged)?;
        if line.prev != end.sha256 || task_seq != end.task_seq + 1 {
            return Err(damaged("it does not follow the line before it".to_owned()));
        }
        end = End { task_seq, sha256: line.sha256 };
        events.push(line.event);
    }
    Ok(events)
}

/// The consumer that writes the audit logs.
#[derive(Debug)]
pub struct AuditTrail {
    folders: TaskFolders,
    registry: Arc<dyn Registry>,
}

impl AuditTrail {
    /// An audit trail of what `registry` commits, into `folders`.
    pub fn new(folders: TaskFolders, registry: Arc<dyn Registry>) -> Self {
        Self { folders, registry }
    }

    fn failed(error: impl Diagnostic + Send + Sync + 'static) -> ConsumerError {
        ConsumerError::new("audit", "write the audit log", error)
    }

    async fn apply_to(&self, id: &TaskId, events: &[&Event]) -> Result<(), ConsumerError> {
        match self.registry.get(id).await {
            Ok(_) => {}
            // It was deleted since; its folder goes, or is gone.
            Err(RegistryError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(Self::failed(error)),
        }
        let folder = self.folders.of(id);
        folder.create().map_err(Self::failed)?;
        let end = match end_of(&folder.audit_file()).map_err(Self::failed)? {
            Tail::At(end) => end,
            Tail::Damaged => return self.rewrite(id, &folder).await,
        };
        let fresh: Vec<_> =
            events.iter().copied().filter(|event| event.task_seq() > end.task_seq).collect();
        match fresh.first() {
            None => Ok(()),
            Some(first) if first.task_seq() == end.task_seq + 1 => {
                append(&folder, &end, &fresh).map_err(Self::failed)
            }
            // Lines are missing in between.
            Some(_) => self.rewrite(id, &folder).await,
        }
    }

    /// Makes the file of every task say what the table says. One that said something else, of what
    /// the table does not know any more, is kept beside it.
    async fn agree_with_the_table(&self, restored: Seq) -> Result<(), ConsumerError> {
        let mut pages = Pages::of(self.registry.as_ref());
        loop {
            let tasks = pages.next().await.map_err(Self::failed)?;
            if tasks.is_empty() {
                return Ok(());
            }
            for task in tasks {
                let folder = self.folders.of(&task.id);
                folder.create().map_err(Self::failed)?;
                let events = self.registry.events(&task.id, EventQuery::default()).await;
                let events = events.map_err(Self::failed)?;
                let text = chained(&End::start(), events.iter());
                let text = text.map_err(io_error("chain the lines of", &folder.audit_file()));
                let is_whole =
                    keep_what_the_table_lacks(&folder, &text.map_err(Self::failed)?, restored);
                if !is_whole.map_err(Self::failed)? {
                    self.rewrite(&task.id, &folder).await?;
                }
            }
        }
    }

    /// Writes the whole file anew from the event table, which has the last word.
    async fn rewrite(&self, id: &TaskId, folder: &TaskFolder) -> Result<(), ConsumerError> {
        let events = self.registry.events(id, EventQuery::default()).await.map_err(Self::failed)?;
        let path = folder.audit_file();
        let beside = path.with_extension("jsonl.new");
        let write = || -> io::Result<()> {
            let text = chained(&End::start(), events.iter())?;
            let mut new = File::create(&beside)?;
            new.write_all(&text)?;
            new.sync_all()?;
            fs::rename(&beside, &path)?;
            path.parent().map_or(Ok(()), sync_folder)
        };
        write().map_err(io_error("write anew", &path)).map_err(Self::failed)
    }
}

#[async_trait]
impl Consumer for AuditTrail {
    fn name(&self) -> ConsumerName {
        "audit"
    }

    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError> {
        let mut tasks: Vec<_> = events.iter().filter_map(Event::task).collect();
        tasks.sort_unstable();
        tasks.dedup();
        if let Some(seq) = restored_at(events) {
            self.agree_with_the_table(seq).await?;
        }
        for task in tasks {
            let of_task: Vec<_> =
                events.iter().filter(|event| event.task() == Some(task)).collect();
            self.apply_to(task, &of_task).await?;
        }
        Ok(())
    }
}

/// Gives another name to a file that says more, or something else, than the table, whose text is
/// given. True when it says the same; one that is only shorter stays.
fn keep_what_the_table_lacks(
    folder: &TaskFolder,
    text: &[u8],
    restored: Seq,
) -> Result<bool, StorageError> {
    let path = folder.audit_file();
    let file = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        read => read.map_err(io_error("read", &path))?,
    };
    if text.starts_with(&file) {
        return Ok(text.len() == file.len());
    }
    let kept = path.with_file_name(format!("audit-before-{restored}.jsonl"));
    if kept.exists() {
        let what = io::Error::new(io::ErrorKind::AlreadyExists, kept.display().to_string());
        return Err(io_error("set aside", &path)(what));
    }
    fs::rename(&path, &kept).map_err(io_error("set aside", &path))?;
    Ok(false)
}

fn chained<'a>(end: &End, events: impl Iterator<Item = &'a Event>) -> io::Result<Vec<u8>> {
    let mut end = end.clone();
    let mut text = Vec::new();
    for event in events {
        let line = Line::bind(event, &end)?;
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
        end = End { task_seq: event.task_seq(), sha256: line.sha256 };
    }
    Ok(text)
}

fn append(folder: &TaskFolder, end: &End, events: &[&Event]) -> Result<(), StorageError> {
    let path = folder.audit_file();
    let write = || -> io::Result<()> {
        let text = chained(end, events.iter().copied())?;
        let is_new = !path.exists();
        let mut file = File::options().create(true).append(true).open(&path)?;
        file.write_all(&text)?;
        file.sync_data()?;
        if is_new { path.parent().map_or(Ok(()), sync_folder) } else { Ok(()) }
    };
    write().map_err(io_error("append to", &path))
}

enum Tail {
    At(End),
    Damaged,
}

/// Finds out how far an audit log goes.
fn end_of(path: &Path) -> Result<Tail, StorageError> {
    let Some(last) = last_line(path).map_err(io_error("read the end of", path))? else {
        return Ok(Tail::At(End::start()));
    };
    // A file that does not end with a newline has a torn last line.
    let Some(last) = last.strip_suffix(b"\n") else {
        return Ok(Tail::Damaged);
    };
    Ok(match Line::parse(last) {
        Ok((line, task_seq)) => Tail::At(End { task_seq, sha256: line.sha256 }),
        Err(_) => Tail::Damaged,
    })
}

/// The last line of a file with its newline; none when the file is empty or not there.
fn last_line(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(None);
    }
    let mut wanted = END_BYTES;
    loop {
        let start = length.saturating_sub(wanted);
        file.seek(SeekFrom::Start(start))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        let body = end.strip_suffix(b"\n").unwrap_or(&end);
        match body.iter().rposition(|byte| *byte == b'\n') {
            Some(before) => return Ok(Some(end.split_off(before + 1))),
            None if start == 0 => return Ok(Some(end)),
            None => wanted *= 4,
        }
    }
}
