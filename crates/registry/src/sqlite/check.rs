//! Looking for damage.

use sqlx::Connection;

use crate::RegistryError;
use crate::sqlite::failure::failed;
use crate::sqlite::readers::Readers;

const ACTION: &str = "check the database";

/// Reads the whole database and says what is wrong with it, on a connection of its own: on one
/// that has searched before others wrote, FTS5 checks segments that it remembers and that are
/// gone since, and takes that for damage (SQLite 3.51, `fts5IntegrityMethod`).
pub(super) async fn check(readers: &Readers) -> Result<Vec<String>, RegistryError> {
    let mut fresh = readers.fresh().await?;
    let mut found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut fresh)
        .await
        .map_err(failed(ACTION))?;
    found.retain(|line| line != "ok");
    let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut fresh).await;
    let dangling = dangling.map_err(failed(ACTION))?.len();
    if dangling > 0 {
        found.push(format!("{dangling} rows refer to rows that are not there"));
    }
    let gaps: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT task_id FROM events WHERE task_id IS NOT NULL
             GROUP BY task_id HAVING max(task_seq) <> count(*) OR min(task_seq) <> 1)",
    )
    .fetch_one(&mut fresh)
    .await
    .map_err(failed(ACTION))?;
    if gaps > 0 {
        found.push(format!("the events of {gaps} tasks have gaps"));
    }
    fresh.close().await.map_err(failed(ACTION))?;
    Ok(found)
}
