//! What the queue does with rows that are damaged. What it does with jobs is tested in armor-jobs.

use std::time::Duration;

use armor_core::error::{Code, Diagnostic};
use armor_core::id::{IdSource, RandomIds};
use armor_core::job::{JobCounts, JobId, JobQueue, NewJob, Priority};
use armor_core::time::Clock;
use sqlx::{Connection, SqliteConnection};

use crate::support::Home;

#[tokio::test]
async fn a_job_that_cannot_be_read_holds_up_no_other_and_can_be_purged() {
    let home = Home::new();
    let registry = home.open().await;
    let job = |key: &str| NewJob {
        kind: "errand",
        key: key.to_owned(),
        priority: Priority::Normal,
        payload: serde_json::Value::Null,
        cause: RandomIds::default().event_id(home.clock.now()),
    };
    registry.enqueue(&[job("a"), job("a")]).await.unwrap();
    let url = format!("sqlite://{}", home.path().display());
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    let damage = "UPDATE jobs SET cause = 'no id' WHERE id = 1";
    sqlx::query(damage).execute(&mut raw).await.unwrap();

    let claim = || registry.claim(&["errand"], "a test", Duration::from_secs(9));
    assert_eq!(claim().await.unwrap(), None);
    assert_eq!(claim().await.unwrap().unwrap().job.id, JobId(2));
    let counts = JobCounts { waiting: 0, running: 1, dead: 1 };
    assert_eq!(registry.counts().await.unwrap(), counts);
    assert_eq!(registry.jobs(9).await.unwrap().len(), 1);
    assert_eq!(registry.job(JobId(1)).await.unwrap_err().code(), Code::DatabaseCorrupt);
    registry.purge(JobId(1)).await.unwrap();
    assert_eq!(registry.counts().await.unwrap().dead, 0);
}
