//! Opening a database: the file made private, the schema brought up to date, the home's id kept.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use armor_core::config::Durability;
use armor_core::file_lock::FileLock;
use armor_core::id::{HomeId, IdSource};
use armor_core::time::Clock;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use crate::RegistryError;
use crate::sqlite::failure::{corrupt, failed};
use crate::sqlite::readers::Readers;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// How long a writer of one process waits for those of others. Nothing holds the lock for long,
/// but a disk may stall.
const BUSY_TIMEOUT: Duration = Duration::from_mins(2);
/// How large the write-ahead log gets before it is written into the database: 16 MiB. Four times
/// SQLite's default, because the same pages are written again and again.
const CHECKPOINT_PAGES: &str = "4000";
/// Rows that SQLite's thread may be ahead of who reads them.
const ROWS_AHEAD: usize = 512;

/// An open database.
pub(super) struct Opened {
    pub(super) home: HomeId,
    pub(super) writer: SqliteConnection,
    pub(super) writer_options: SqliteConnectOptions,
    pub(super) readers: Arc<Readers>,
}

/// Opens the database at `path`, making it and bringing its schema up to date where needed.
pub(super) async fn open(
    path: &Path,
    durability: Durability,
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<Opened, RegistryError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match durability {
            Durability::Full => SqliteSynchronous::Full,
            Durability::Normal => SqliteSynchronous::Normal,
        })
        // What SQLite keeps to undo a statement on a large set would go through files otherwise.
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging();
    make_private(path)?;
    // Two processes that open a new home at the same time must not both make the tables.
    let lock = FileLock::hold(&path.with_extension("lock")).await;
    let lock =
        lock.map_err(|error| RegistryError::of_io("lock the database for opening", error))?;
    migrate(path, &options).await?;
    let mut writer = options.connect().await.map_err(failed("open the database"))?;
    let home = ensure_home_id(path, &mut writer, clock, ids).await?;
    drop(lock);

    let readers = Arc::new(Readers::open(options.clone()).await?);
    Ok(Opened { home, writer, writer_options: options, readers })
}

/// Makes the file if it is not there, so that only the user reads it and what SQLite puts beside
/// it.
fn make_private(path: &Path) -> Result<(), RegistryError> {
    let made = File::options().create(true).append(true).mode(0o600).open(path).map(drop);
    match made {
        // A file that may not be written to can still be looked at; SQLite says what it can't do.
        Err(error) if path.exists() => {
            tracing::debug!(%error, "the database's file may not be writable");
            Ok(())
        }
        made => made.map_err(|error| RegistryError::of_io("make the database's file", error)),
    }
}

/// Migrations build tables anew, which must not delete what refers to them: they run on a
/// connection of their own, which does not enforce foreign keys. `check` looks at the rows.
async fn migrate(path: &Path, options: &SqliteConnectOptions) -> Result<(), RegistryError> {
    let options = options.clone().foreign_keys(false).create_if_missing(true);
    let alone = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
    let alone = alone.map_err(failed("open the database"))?;
    let done = MIGRATIONS.run(&alone).await;
    alone.close().await;
    done.map_err(|error| migration_failed(path, error))
}

fn migration_failed(path: &Path, error: MigrateError) -> RegistryError {
    const ACTION: &str = "bring the database's schema up to date";
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
            RegistryError::TooNew { path: path.to_owned(), source: Arc::new(error) }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            failed(ACTION)(error)
        }
        error => RegistryError::Failed { action: ACTION, source: Arc::new(error) },
    }
}

/// Reads the home's id, or gives it one. It is also kept beside the database: what the home has on an
/// engine bears it, and has to be found again when the database is lost.
async fn ensure_home_id(
    path: &Path,
    writer: &mut SqliteConnection,
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<HomeId, RegistryError> {
    const ACTION: &str = "read the home's id";
    const FIND: &str = "SELECT value FROM home WHERE key = 'id'";
    let beside = path.with_extension("home-id");
    let kept = fs::read_to_string(&beside).ok().and_then(|id| HomeId::parse(id.trim()).ok());
    let found = sqlx::query_scalar(FIND).fetch_optional(&mut *writer).await;
    let found: Option<String> = found.map_err(failed(ACTION))?;
    let id = if let Some(id) = found {
        id
    } else {
        let id = kept.clone().unwrap_or_else(|| ids.home_id(clock.now()));
        sqlx::query("INSERT INTO home (key, value) VALUES ('id', ?) ON CONFLICT DO NOTHING")
            .bind(id.as_str())
            .execute(&mut *writer)
            .await
            .map_err(failed(ACTION))?;
        sqlx::query_scalar(FIND).fetch_one(&mut *writer).await.map_err(failed(ACTION))?
    };
    let id = HomeId::parse(id).map_err(|error| corrupt(ACTION, error))?;
    if kept.as_ref() != Some(&id)
        && let Err(error) = fs::write(&beside, format!("{id}\n"))
    {
        // It is there for the loss of the database, and written the next time.
        tracing::debug!(%error, "the home's id is not kept beside the database");
    }
    Ok(id)
}
