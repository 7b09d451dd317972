//! The connection that writes: opened anew when it may have become unusable.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _, SqliteConnection};

use crate::RegistryError;
use crate::sqlite::failure::failed;

pub(super) struct Connection {
    open: Option<SqliteConnection>,
    options: SqliteConnectOptions,
}

impl Connection {
    pub(super) const fn new(open: SqliteConnection, options: SqliteConnectOptions) -> Self {
        Self { open: Some(open), options }
    }

    pub(super) async fn get(&mut self) -> Result<&mut SqliteConnection, RegistryError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.options.connect().await.map_err(failed("open the database again"))?,
        };
        Ok(self.open.insert(open))
    }

    /// Undoes a transaction that failed. Where that cannot be done, the connection is given up, since
    /// nobody knows what state it is in.
    pub(super) async fn recover(&mut self, error: &RegistryError) {
        let Some(open) = &mut self.open else { return };
        // A transaction that SQLite has undone by itself is no longer there: that is no error.
        let undone = sqlx::query("ROLLBACK").execute(open).await.is_ok();
        if !(undone || error.is_callers_fault()) {
            self.close().await;
        }
    }

    pub(super) async fn close(&mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = open.close().await
        {
            tracing::warn!(%error, "the database was not closed in order");
        }
    }
}
