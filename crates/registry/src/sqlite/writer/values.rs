//! Statements on sets of rows, sent with as few hops to the connection's thread as can be.
//!
//! A set is written as `VALUES (…), (…)`. Its sizes are powers of two, so that every statement has
//! few texts, and SQLite finds them prepared.

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Either, Encode, Executor, Sqlite, SqliteConnection, Type};

use crate::RegistryError;
use crate::sqlite::failure::failed;

/// The most rows of one statement: with 20 columns, far below SQLite's 32,766 parameters.
const MOST: usize = 256;

/// A statement on a set of rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct SetStatement {
    /// What it is for, as an error says it.
    pub(super) action: &'static str,
    /// What stands before the rows.
    pub(super) head: &'static str,
    /// How many columns a row has.
    pub(super) columns: usize,
    /// What stands behind the rows.
    pub(super) tail: &'static str,
}

impl SetStatement {
    fn text(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!("{}{}{}", self.head, vec![row.as_str(); rows].join(","), self.tail)
    }
}

/// Parts a set into chunks whose sizes are powers of two.
pub(super) fn chunks<T>(mut set: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        if set.is_empty() {
            return None;
        }
        let size = 1 << set.len().min(MOST).ilog2();
        let (chunk, rest) = set.split_at(size);
        set = rest;
        Some(chunk)
    })
}

/// Names a statement of a script, to ask for the rows that it gave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(usize);

/// Statements that wait to be sent together, and what came back of those that were.
pub(super) struct Script<'c> {
    connection: &'c mut SqliteConnection,
    text: String,
    arguments: SqliteArguments,
    action: &'static str,
    large: bool,
    added: usize,
    rows: Vec<Vec<SqliteRow>>,
}

impl<'c> Script<'c> {
    pub(super) fn new(connection: &'c mut SqliteConnection) -> Self {
        Self {
            connection,
            text: String::new(),
            arguments: SqliteArguments::default(),
            action: "begin to write",
            large: false,
            added: 0,
            rows: Vec::new(),
        }
    }

    /// Adds a statement without values.
    pub(super) fn add(&mut self, statement: &str) -> Ticket {
        if !self.text.is_empty() {
            self.text.push_str("; ");
        }
        self.text.push_str(statement);
        self.added += 1;
        Ticket(self.added - 1)
    }

    /// Adds a statement on so many rows, whose values are bound next. What waits already is sent
    /// first if it is large: texts that are put together in ever new ways would have to be
    /// prepared each time.
    pub(super) async fn add_set(
        &mut self,
        statement: &SetStatement,
        rows: usize,
    ) -> Result<Ticket, RegistryError> {
        if self.large || (rows > 1 && self.added > 1) {
            self.send().await?;
        }
        self.action = statement.action;
        self.large = rows > 1;
        Ok(self.add(&statement.text(rows)))
    }

    pub(super) fn bind<'q, T: Encode<'q, Sqlite> + Type<Sqlite>>(
        &mut self,
        value: T,
    ) -> Result<(), RegistryError> {
        let added = self.arguments.add(value);
        added.map_err(|error| failed(self.action)(sqlx::Error::Encode(error)))
    }

    /// Sends what waits.
    pub(super) async fn send(&mut self) -> Result<(), RegistryError> {
        self.large = false;
        if self.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        let arguments = std::mem::take(&mut self.arguments);
        let query = sqlx::query_with(AssertSqlSafe(text), arguments);
        let mut answers = (&mut *self.connection).fetch_many(query);
        let mut rows = Vec::new();
        while let Some(answer) = answers.try_next().await.map_err(failed(self.action))? {
            match answer {
                Either::Right(row) => rows.push(row),
                // The end of one statement.
                Either::Left(_) => self.rows.push(std::mem::take(&mut rows)),
            }
        }
        // A connection whose thread died only stops answering.
        if self.rows.len() == self.added {
            Ok(())
        } else {
            Err(failed(self.action)(sqlx::Error::WorkerCrashed))
        }
    }

    /// The rows that a statement gave, once it was sent.
    pub(super) fn rows(&self, of: Ticket) -> &[SqliteRow] {
        self.rows.get(of.0).map_or(&[], Vec::as_slice)
    }

    /// The connection, for statements that are not on sets. What waits has to be sent before.
    pub(super) const fn connection(&mut self) -> &mut SqliteConnection {
        self.connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_parted_into_powers_of_two_that_make_it_up() {
        let set: Vec<_> = (0..603).collect();
        let sizes: Vec<_> = chunks(&set).map(<[i32]>::len).collect();
        assert_eq!(sizes, [256, 256, 64, 16, 8, 2, 1]);
        assert!(chunks(&set).flatten().eq(&set));
        assert_eq!(chunks::<i32>(&[]).count(), 0);
    }
}
