//! The statements of the leases.

use armor_core::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::sqlite::failure::{corrupt, failed};
use crate::sqlite::readers::Readers;
use crate::sqlite::rows::count;
use crate::{Lease, RegistryError};

const READ: &str = "read the leases";

/// Takes the lease, if nobody has it or who had it let it expire.
pub(super) async fn take(
    connection: &mut SqliteConnection,
    name: &str,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Lease, RegistryError> {
    let taken = sqlx::query(
        "INSERT INTO leases (name, owner, token, taken_at, expires_at) VALUES (?1, ?2, 1, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET
             owner = excluded.owner, token = token + 1, taken_at = excluded.taken_at,
             expires_at = excluded.expires_at
         WHERE expires_at <= ?3
         RETURNING name, owner, token, taken_at, expires_at",
    )
    .bind(name)
    .bind(owner)
    .bind(now.as_micros())
    .bind(until.as_micros())
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed("take a lease"))?;
    if let Some(taken) = taken {
        return lease(&taken);
    }
    let holder =
        sqlx::query("SELECT name, owner, token, taken_at, expires_at FROM leases WHERE name = ?");
    let holder = holder.bind(name).fetch_one(connection).await.map_err(failed(READ))?;
    Err(RegistryError::LeaseHeld { lease: lease(&holder)? })
}

/// Puts off the lease's end, if it is still held: also one that has expired, if nobody took it.
pub(super) async fn renew(
    connection: &mut SqliteConnection,
    held: &Lease,
    until: Timestamp,
) -> Result<Lease, RegistryError> {
    let renewed = sqlx::query(
        "UPDATE leases SET expires_at = ?3 WHERE name = ?1 AND token = ?2 AND expires_at > 0
         RETURNING name, owner, token, taken_at, expires_at",
    )
    .bind(held.name.as_str())
    .bind(count(held.token))
    .bind(until.as_micros())
    .fetch_optional(connection)
    .await
    .map_err(failed("renew a lease"))?;
    match renewed {
        Some(renewed) => lease(&renewed),
        None => Err(RegistryError::LeaseLost { name: held.name.clone() }),
    }
}

/// Gives the lease up. False when it was lost before.
pub(super) async fn give_up(
    connection: &mut SqliteConnection,
    held: &Lease,
) -> Result<bool, RegistryError> {
    let done = sqlx::query(
        "UPDATE leases SET expires_at = 0 WHERE name = ? AND token = ? AND expires_at > 0",
    )
    .bind(held.name.as_str())
    .bind(count(held.token))
    .execute(connection)
    .await
    .map_err(failed("give up a lease"))?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn held(readers: &Readers, now: Timestamp) -> Result<Vec<Lease>, RegistryError> {
    let held = sqlx::query(
        "SELECT name, owner, token, taken_at, expires_at FROM leases
         WHERE expires_at > ? ORDER BY name",
    );
    readers.all(READ, held.bind(now.as_micros())).await?.iter().map(lease).collect()
}

fn lease(row: &SqliteRow) -> Result<Lease, RegistryError> {
    let read = || -> Result<Lease, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Lease {
            name: row.try_get(0)?,
            owner: row.try_get(1)?,
            token: row.try_get::<i64, _>(2)?.try_into()?,
            taken_at: Timestamp::from_micros(row.try_get(3)?),
            expires_at: Timestamp::from_micros(row.try_get(4)?),
        })
    };
    read().map_err(|error| corrupt(READ, error))
}
