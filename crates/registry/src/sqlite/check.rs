//! Looking for damage.

use sqlx::sqlite::SqlitePool;

use crate::RegistryError;
use crate::sqlite::failure::failed;

const ACTION: &str = "check the database";

/// Reads the whole database and says what is wrong with it.
pub(super) async fn check(readers: &SqlitePool) -> Result<Vec<String>, RegistryError> {
    let mut found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(readers)
        .await
        .map_err(failed(ACTION))?;
    found.retain(|line| line != "ok");
    let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(readers).await;
    let dangling = dangling.map_err(failed(ACTION))?.len();
    if dangling > 0 {
        found.push(format!("{dangling} rows refer to rows that are not there"));
    }
    let gaps: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT task_id FROM events WHERE task_id IS NOT NULL
             GROUP BY task_id HAVING max(task_seq) <> count(*) OR min(task_seq) <> 1)",
    )
    .fetch_one(readers)
    .await
    .map_err(failed(ACTION))?;
    if gaps > 0 {
        found.push(format!("the events of {gaps} tasks have gaps"));
    }
    Ok(found)
}
