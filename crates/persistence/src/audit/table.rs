//! What the audit log of a task has to say, as the event table has it.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::vec;

use armor_core::event::Event;
use armor_core::id::TaskId;
use armor_registry::{EventQuery, Registry, RegistryError};

use crate::StorageError;
use crate::error::io_error;

use super::files::is_damage;
use super::line::End;

/// How many events are read at a time.
const PAGE: u32 = 1000;

/// The lines that a task's events make, from some place on.
pub(super) struct TableLines<'a> {
    registry: &'a dyn Registry,
    task: &'a TaskId,
    /// Behind the line that was given last.
    pub(super) end: End,
    page: vec::IntoIter<Event>,
}

/// The table could not be read, or a file that is compared with it.
#[derive(Debug)]
pub(super) enum TableError {
    Registry(RegistryError),
    Storage(StorageError),
}

/// How a file stands to what it has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreement {
    /// It says just that.
    Same,
    /// It ends too early, and up to there it says the same.
    Shorter,
    /// It says something else, or more.
    Differs,
}

impl<'a> TableLines<'a> {
    pub(super) fn behind(registry: &'a dyn Registry, task: &'a TaskId, end: End) -> Self {
        Self { registry, task, end, page: Vec::new().into_iter() }
    }

    /// The next line with its newline; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, TableError> {
        if self.page.len() == 0 {
            let query = EventQuery { after: self.end.task_seq, limit: Some(PAGE) };
            let page = self.registry.events(self.task, query).await;
            self.page = page.map_err(TableError::Registry)?.into_iter();
        }
        let Some(event) = self.page.next() else { return Ok(None) };
        let mut text = Vec::new();
        let chained = self.end.chain(&event, &mut text);
        let failed = io_error("chain the lines of", self.task.as_str());
        chained.map_err(failed).map_err(TableError::Storage)?;
        Ok(Some(text))
    }

    /// Goes back to an earlier place.
    pub(super) fn go_back(&mut self, end: End) {
        *self = Self::behind(self.registry, self.task, end);
    }

    /// Compares a text with the lines from here to the event at the place `last`, or to the end of the
    /// table.
    pub(super) async fn compare(
        &mut self,
        path: &Path,
        mut text: Box<dyn BufRead + Send>,
        last: u64,
    ) -> Result<Agreement, TableError> {
        let unreadable = |error| TableError::Storage(io_error("read", path)(error));
        while self.end.task_seq < last {
            let Some(line) = self.next().await? else { break };
            match read_up_to(text.as_mut(), line.len()).map_err(unreadable)? {
                Some(read) if read == line => {}
                Some(read) if line.starts_with(&read) => return Ok(Agreement::Shorter),
                _ => return Ok(Agreement::Differs),
            }
        }
        let rest = read_up_to(text.as_mut(), 1).map_err(unreadable)?;
        let is_at_end = rest.is_some_and(|rest| rest.is_empty());
        Ok(if is_at_end { Agreement::Same } else { Agreement::Differs })
    }
}

/// So many bytes, or fewer at the end; none when what is there cannot be decompressed.
fn read_up_to(text: &mut dyn Read, length: usize) -> io::Result<Option<Vec<u8>>> {
    let mut read = Vec::with_capacity(length);
    match text.take(length as u64).read_to_end(&mut read) {
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(error),
        Ok(_) => Ok(Some(read)),
    }
}
