//! Statements on sets of rows, sent with as few hops to the connection's thread as can be.
//!
//! A set is written as `VALUES (…), (…)`, filled up with rows of nulls to a power of two: so every
//! statement has few texts, and SQLite finds them prepared. What is sent as one is prepared as one:
//! sets that are put together in many ways have to be [parted](Script::part_sets).

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Either, Encode, Executor, Sqlite, SqliteConnection, Type};

use crate::RegistryError;
use crate::sqlite::failure::failed;

/// The most rows of one statement: with 20 columns, far below SQLite's 32,766 parameters.
pub(super) const MOST_ROWS: usize = 256;

/// A statement on a set of rows. It passes over rows whose first column is null.
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
    fn write_to(&self, text: &mut String, rows: usize) {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        text.push_str(self.head);
        for number in 0..rows {
            text.push_str(if number == 0 { "" } else { "," });
            text.push_str(&row);
        }
        text.push_str(self.tail);
    }
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
    is_full: bool,
    parted: bool,
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
            is_full: false,
            parted: false,
            added: 0,
            rows: Vec::new(),
        }
    }

    /// Adds a statement, whose values, if it has any, are bound next.
    pub(super) fn add(&mut self, statement: &str) -> Ticket {
        let ticket = self.begin();
        self.text.push_str(statement);
        ticket
    }

    fn begin(&mut self) -> Ticket {
        if !self.text.is_empty() {
            self.text.push_str("; ");
        }
        self.added += 1;
        Ticket(self.added - 1)
    }

    /// Adds a statement on a set of at most [`MOST_ROWS`], each of which binds its columns. Rows of
    /// nulls fill it up to a power of two.
    pub(super) async fn add_set<T>(
        &mut self,
        statement: &SetStatement,
        set: &[T],
        mut bind_row: impl FnMut(&mut Self, &T) -> Result<(), RegistryError>,
    ) -> Result<Ticket, RegistryError> {
        if self.is_full || self.parted {
            self.send().await?;
        }
        self.action = statement.action;
        self.is_full = set.len() >= MOST_ROWS;
        let rows = set.len().next_power_of_two();
        let ticket = self.begin();
        statement.write_to(&mut self.text, rows);
        for row in set {
            bind_row(self, row)?;
        }
        for _ in 0..(rows - set.len()) * statement.columns {
            self.bind(None::<i64>)?;
        }
        Ok(ticket)
    }

    /// From now on, a set is not sent together with what comes before it.
    pub(super) const fn part_sets(&mut self) {
        self.parted = true;
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
        self.is_full = false;
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
