//! The statements of the dead letters.

use armor_core::event::{DeadLetter, DeadLetterId, Seq};
use armor_core::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::RegistryError;
use crate::sqlite::events;
use crate::sqlite::failure::{corrupt, failed};
use crate::sqlite::readers::Readers;
use crate::sqlite::rows::count;

const READ: &str = "read the dead letters";

/// Keeps a letter and moves its consumer's cursor behind it.
pub(super) async fn bury(
    connection: &mut SqliteConnection,
    letter: &DeadLetter,
) -> Result<(), RegistryError> {
    sqlx::query(
        "INSERT INTO dead_letters (consumer, seq, reason, tries, at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (consumer, seq) DO UPDATE SET
             reason = excluded.reason, tries = tries + excluded.tries, at = excluded.at",
    )
    .bind(letter.id.consumer.as_str())
    .bind(count(letter.id.seq.0))
    .bind(letter.reason.as_str())
    .bind(letter.tries)
    .bind(letter.at.as_micros())
    .execute(&mut *connection)
    .await
    .map_err(failed("keep a dead letter"))?;
    events::advance(connection, &[(letter.id.consumer.as_str(), letter.id.seq)]).await
}

pub(super) async fn list(readers: &Readers, limit: u32) -> Result<Vec<DeadLetter>, RegistryError> {
    let letters = sqlx::query(
        "SELECT consumer, seq, reason, tries, at FROM dead_letters
         ORDER BY at DESC, consumer, seq LIMIT ?",
    );
    readers.all(READ, letters.bind(limit)).await?.iter().map(letter).collect()
}

pub(super) async fn get(
    readers: &Readers,
    id: &DeadLetterId,
) -> Result<Option<DeadLetter>, RegistryError> {
    let one = sqlx::query(
        "SELECT consumer, seq, reason, tries, at FROM dead_letters WHERE consumer = ? AND seq = ?",
    )
    .bind(id.consumer.as_str())
    .bind(count(id.seq.0));
    readers.optional(READ, one).await?.as_ref().map(letter).transpose()
}

pub(super) async fn forget(
    connection: &mut SqliteConnection,
    id: &DeadLetterId,
) -> Result<bool, RegistryError> {
    let done = sqlx::query("DELETE FROM dead_letters WHERE consumer = ? AND seq = ?")
        .bind(id.consumer.as_str())
        .bind(count(id.seq.0))
        .execute(connection)
        .await
        .map_err(failed("forget a dead letter"))?;
    Ok(done.rows_affected() == 1)
}

fn letter(row: &SqliteRow) -> Result<DeadLetter, RegistryError> {
    let read = || -> Result<DeadLetter, Box<dyn std::error::Error + Send + Sync>> {
        let seq = Seq(row.try_get::<i64, _>(1)?.try_into()?);
        Ok(DeadLetter {
            id: DeadLetterId { consumer: row.try_get(0)?, seq },
            reason: row.try_get(2)?,
            tries: row.try_get(3)?,
            at: Timestamp::from_micros(row.try_get(4)?),
        })
    };
    read().map_err(|error| corrupt(READ, error))
}
