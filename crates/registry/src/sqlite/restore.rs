//! Putting a backup in the place of the database (R14).
//!
//! The backup is copied beside the database, brought up to date and checked there, and renamed over
//! it: a kill leaves the old database or the new one. The old one is kept under another name.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use armor_core::config::Durability;
use armor_core::event::SystemEvent;
use armor_core::file_lock::FileLock;
use armor_core::id::{HomeId, IdSource};
use armor_core::time::{Clock, Timestamp};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use crate::RegistryError;
use crate::sqlite::failure::{corrupt, failed};
use crate::sqlite::writer::announce_alone;
use crate::sqlite::{check, in_use, open};

const ACTION: &str = "restore the database";

/// What a restoration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the database that was replaced is kept; none when there was none.
    pub replaced: Option<PathBuf>,
}

/// Puts the backup in the place of the database, which nobody may have open.
pub(crate) async fn restore(
    database: &Path,
    backup: &Path,
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<Restored, RegistryError> {
    let alone = FileLock::try_hold(&in_use(database)).map_err(io_error)?;
    let _alone = alone.ok_or_else(|| RegistryError::InUse { path: database.to_owned() })?;
    // Where a link leads to, or the link would be replaced.
    let place = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let new = place.with_extension("restoring");
    remove_all_of(&new).map_err(io_error)?;
    let done = replace(&place, backup, &new, clock, ids).await;
    if done.is_err() {
        // What counts is the failure before.
        let _removed = remove_all_of(&new);
    }
    done
}

async fn replace(
    place: &Path,
    backup: &Path,
    new: &Path,
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<Restored, RegistryError> {
    let now = clock.now();
    remove_second_names(place).map_err(io_error)?;
    let old = Old::look(place).await;
    let is_there = place.try_exists().map_err(io_error)?;
    let replaced = is_there.then(|| replaced_name(place, now));
    copy(backup, new).map_err(io_error)?;
    let fact = SystemEvent::BackupRestored { path: backup.to_owned(), replaced: replaced.clone() };
    prepare(new, &old, fact, clock, ids).await?;
    if let Some(replaced) = &replaced {
        keep(place, replaced).map_err(io_error)?;
    }
    // The new one must not be read with the old one's write-ahead log.
    for suffix in ["-wal", "-shm"] {
        remove(&beside(place, suffix)).map_err(io_error)?;
    }
    fs::rename(new, place).map_err(io_error)?;
    place.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()).map_err(io_error)?;
    Ok(Restored { replaced })
}

/// What can be known of the database that is replaced, which may be damaged.
#[derive(Debug, Default)]
struct Old {
    home: Option<String>,
    events: Option<i64>,
}

impl Old {
    /// Looks, and has the write-ahead log written into the file, as far as that goes.
    async fn look(place: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(place);
        let Ok(mut connection) = options.connect().await else { return Self::default() };
        let _written =
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await;
        let home = "SELECT value FROM home WHERE key = 'id'";
        let home = sqlx::query_scalar(home).fetch_optional(&mut connection).await;
        let events = "SELECT max(seq) FROM events";
        let events = sqlx::query_scalar(events).fetch_one(&mut connection).await;
        let _closed = connection.close().await;
        Self { home: home.ok().flatten(), events: events.ok().flatten() }
    }
}

/// Brings the copy of the backup up to date, checks it, and notes in it that it was restored.
async fn prepare(
    new: &Path,
    old: &Old,
    fact: SystemEvent,
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<(), RegistryError> {
    must_be_ours(new).await?;
    let mut opened = open::open(new, Durability::Full, clock, ids).await?;
    let checked = async {
        let found = check::check(&opened.readers).await?;
        if !found.is_empty() {
            return Err(corrupt("use the backup", found.join("; ")));
        }
        // A home without an event was made by accident, after the real one was lost.
        if let (Some(ours), Some(_)) = (&old.home, old.events)
            && ours != opened.home.as_str()
        {
            let theirs = opened.home.clone();
            return Err(RegistryError::OtherHome {
                theirs,
                ours: HomeId::parse(ours.as_str()).map_err(|e| corrupt(ACTION, e))?,
            });
        }
        // No number of an event is given twice: who has seen the old ones goes on behind them.
        raise_sequence(&mut opened.writer, old.events).await?;
        announce_alone(&mut opened.writer, fact, clock, ids).await
    };
    let checked = checked.await;
    opened.readers.close().await;
    let settled = settle(&mut opened.writer).await;
    let closed = opened.writer.close().await.map_err(failed(ACTION));
    checked.and(settled).and(closed)?;
    if beside(new, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        let what = "its write-ahead log could not be written into the file";
        return Err(io_error(io::Error::other(what)));
    }
    File::open(new).and_then(|file| file.sync_all()).map_err(io_error)
}

/// A backup says whose it is. A file that does not is none.
async fn must_be_ours(new: &Path) -> Result<(), RegistryError> {
    const READ: &str = "use the backup";
    let options = SqliteConnectOptions::new().filename(new);
    let mut connection = options.connect().await.map_err(failed(READ))?;
    let home = "SELECT value FROM home WHERE key = 'id'";
    let home = sqlx::query_scalar::<_, String>(home).fetch_optional(&mut connection).await;
    let closed = connection.close().await.map_err(failed(READ));
    match home {
        Ok(Some(_)) => closed,
        _ => Err(corrupt(READ, "it is no database of Armor's")),
    }
}

/// Writes the write-ahead log into the file, which closing only tries.
async fn settle(writer: &mut SqliteConnection) -> Result<(), RegistryError> {
    let settled = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(writer).await;
    let is_busy: bool = settled.and_then(|row| row.try_get(0)).map_err(failed(ACTION))?;
    if is_busy { Err(io_error(io::Error::other("somebody reads the copy"))) } else { Ok(()) }
}

/// How many numbers are left out where it is not known how many were given.
const GAP: i64 = 1_000_000;

async fn raise_sequence(
    writer: &mut SqliteConnection,
    given: Option<i64>,
) -> Result<(), RegistryError> {
    let own = "SELECT coalesce(max(seq), 0) FROM events";
    let own: i64 = sqlx::query_scalar(own).fetch_one(&mut *writer).await.map_err(failed(ACTION))?;
    let given = given.unwrap_or(own + GAP);
    // The row is there as soon as there was an event.
    sqlx::query(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'events', 0
         WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'events')",
    )
    .execute(&mut *writer)
    .await
    .map_err(failed(ACTION))?;
    sqlx::query("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'events'")
        .bind(given)
        .execute(writer)
        .await
        .map(drop)
        .map_err(failed(ACTION))
}

/// Copies the backup, for us alone to read.
fn copy(backup: &Path, new: &Path) -> io::Result<()> {
    let log = beside(backup, "-wal");
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        let what = format!("{} belongs to it and would be lost", log.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    fs::copy(backup, new)?;
    fs::set_permissions(new, fs::Permissions::from_mode(0o600))
}

/// Gives the old database a second name, and its write-ahead log, which is empty unless the database
/// is damaged.
fn keep(place: &Path, replaced: &Path) -> io::Result<()> {
    second_name(place, replaced)?;
    let log = beside(place, "-wal");
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        second_name(&log, &beside(replaced, "-wal"))?;
    }
    Ok(())
}

fn second_name(file: &Path, name: &Path) -> io::Result<()> {
    // Not every file system has links.
    fs::hard_link(file, name).or_else(|_| fs::copy(file, name).map(drop))
}

/// Removes names that a restoration gave to the database before it was killed.
fn remove_second_names(place: &Path) -> io::Result<()> {
    let database = match place.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let Some(folder) = place.parent() else { return Ok(()) };
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let named = path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.contains(REPLACED));
        let is_it =
            |file: fs::Metadata| (file.dev(), file.ino()) == (database.dev(), database.ino());
        if named && path.metadata().is_ok_and(is_it) {
            let (kept, log) = (beside(&path, "-wal"), beside(place, "-wal"));
            if kept.exists() && !log.exists() {
                // It was killed when it had taken the log from the first name already.
                fs::rename(kept, log)?;
            } else {
                remove(&kept)?;
            }
            remove(&path)?;
        }
    }
    Ok(())
}

const REPLACED: &str = "-replaced-";

/// `armor-replaced-2026-11-21T10-15-30.123456Z.db`
fn replaced_name(place: &Path, now: Timestamp) -> PathBuf {
    let stem = place.file_stem().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!("{stem}{REPLACED}{}.db", now.to_string().replace(':', "-")))
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove_all_of(database: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        remove(&beside(database, suffix))?;
    }
    Ok(())
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn io_error(error: io::Error) -> RegistryError {
    RegistryError::of_io(ACTION, error)
}
