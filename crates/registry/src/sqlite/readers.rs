//! The connections that read. Each has a thread of its own and is lent to one reader at a time.
//!
//! sqlx's own pool asks every connection that comes back whether it is alive, on the connection's
//! thread: that costs as much as most of what is read here. Here a connection comes back only from
//! a read that went well to its end; any other, such as one whose reader no longer waits, is closed.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::TryStreamExt;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, Either, Executor, Sqlite, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::RegistryError;
use crate::sqlite::failure::failed;

/// How many read at one time; others wait.
const READERS: u32 = 8;

#[derive(Debug)]
pub(super) struct Readers {
    options: SqliteConnectOptions,
    places: Arc<Semaphore>,
    /// Those that nobody reads with, the last used last: what it remembers is the newest.
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Readers {
    /// Opens the first one, so that a database that cannot be read is told of now.
    pub(super) async fn open(options: SqliteConnectOptions) -> Result<Self, RegistryError> {
        let options = options.read_only(true);
        let first = options.connect().await.map_err(failed("open the database for reading"))?;
        let places = Arc::new(Semaphore::new(READERS as usize));
        Ok(Self { options, places, idle: Mutex::new(vec![first]) })
    }

    /// A connection that nobody else has, and that goes when it is dropped.
    pub(super) async fn fresh(&self) -> Result<SqliteConnection, RegistryError> {
        self.options.connect().await.map_err(failed("open the database for reading"))
    }

    /// The rows that a query finds.
    pub(super) async fn all(
        &self,
        action: &'static str,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, RegistryError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| RegistryError::Closed)?;
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.fresh().await?,
        };
        let mut lent = Lent { connection: Some(connection), place: Some(place) };
        let rows = lent.read_to_the_end(query).await.map_err(failed(action))?;
        self.idle().extend(lent.connection.take());
        Ok(rows)
    }

    /// The one row of a query that finds at most one.
    pub(super) async fn optional(
        &self,
        action: &'static str,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Option<SqliteRow>, RegistryError> {
        self.all(action, query).await.map(|mut rows| rows.pop())
    }

    /// The one row of a query that always finds one.
    pub(super) async fn one(
        &self,
        action: &'static str,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<SqliteRow, RegistryError> {
        let row = self.optional(action, query).await?;
        row.ok_or_else(|| failed(action)(sqlx::Error::RowNotFound))
    }

    /// Waits for those who read, and closes all connections.
    pub(super) async fn close(&self) {
        // An error says that it is closed already.
        let Ok(_places) = self.places.acquire_many(READERS).await else { return };
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            close(connection).await;
        }
        self.places.close();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        // Whoever panicked meanwhile did not leave a list half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that somebody reads with. If it is not given back, its thread may still be busy: it
/// is closed, and its place is free when that is done.
struct Lent {
    connection: Option<SqliteConnection>,
    place: Option<OwnedSemaphorePermit>,
}

impl Lent {
    async fn read_to_the_end(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let connection = self.connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        let mut answers = connection.fetch_many(query);
        let (mut rows, mut ended) = (Vec::new(), false);
        while let Some(answer) = answers.try_next().await? {
            match answer {
                Either::Right(row) => rows.push(row),
                Either::Left(_) => ended = true,
            }
        }
        // A connection whose thread died only stops answering.
        if ended { Ok(rows) } else { Err(sqlx::Error::WorkerCrashed) }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let (Some(connection), place) = (self.connection.take(), self.place.take()) else { return };
        // Without a runtime, the thread ends by itself once it has nobody to answer.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                close(connection).await;
                drop(place);
            });
        }
    }
}

async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "a connection that reads was not closed in order");
    }
}
