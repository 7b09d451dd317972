//! What the disk allows: the smallest durable transaction, and the smallest durable append.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rusqlite::Connection;

use super::raw;
use crate::Outcome;

/// A page of SQLite's.
const PAGE: [u8; 4096] = [0x5a; 4096];

/// A table of one column, and a file.
pub(crate) struct Disk {
    connection: Connection,
    file: File,
}

impl Disk {
    /// Makes both in `folder`.
    pub(crate) fn open(folder: &Path) -> Outcome<Self> {
        let connection = raw::open(&folder.join("bare.db"))?;
        connection.execute_batch("CREATE TABLE bare (text TEXT NOT NULL) STRICT")?;
        Ok(Self { connection, file: File::create(folder.join("appended"))? })
    }

    /// Commits one row.
    pub(crate) fn commit(&mut self) -> rusqlite::Result<usize> {
        self.connection.prepare_cached("INSERT INTO bare (text) VALUES (?)")?.execute(["bare"])
    }

    /// Appends one page and has it on the disk.
    pub(super) fn append_and_sync(&mut self) -> io::Result<()> {
        self.file.write_all(&PAGE)?;
        self.file.sync_all()
    }
}
