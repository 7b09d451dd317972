//! Jobs that fail.

use std::time::Duration;

use armor_core::error::{Code, Diagnostic};
use armor_core::event::{Event, Fault, Seq};
use armor_core::job::{JobId, JobState};
use armor_registry::Registry;

use crate::support::{Home, Office, PATIENCE, job, settings};

/// Waits until the job is dead.
async fn dead(registry: &dyn Registry, id: JobId) -> armor_core::job::Job {
    let mut stirred = registry.stirred();
    let died = async {
        loop {
            let job = registry.job(id).await.unwrap();
            if job.state == JobState::Dead {
                return job;
            }
            stirred.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, died).await.unwrap()
}

// R33: bounded tries, a place for the dead, retry and purge.
#[tokio::test]
async fn a_job_that_fails_too_often_is_given_up_and_can_be_retried_or_purged() {
    let home = Home::new();
    let registry = home.open().await;
    registry.enqueue(&[job("a"), job("a")]).await.unwrap();
    let mut office = Office::open(&registry, settings(1));
    for tries in 1..=3 {
        let (job, goes) = office.next().await;
        assert_eq!((job.id, job.tries), (JobId(1), tries));
        goes.send(Err(Fault::Event)).unwrap();
    }
    // The one behind it is not held up any more.
    let (second, goes) = office.next().await;
    assert_eq!(second.id, JobId(2));
    goes.send(Ok(())).unwrap();

    let given_up = dead(registry.as_ref(), JobId(1)).await;
    assert_eq!((given_up.tries, given_up.strikes), (3, 3));
    assert_eq!(given_up.error.unwrap(), "could not run an errand: the test says so");
    let log: Vec<Event> = registry
        .read_after(Seq::START, 9, None)
        .await
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(log[0].name(), "system:jobGivenUp");
    assert_eq!(log[0].payload.data()["job"], 1);

    registry.retry(JobId(1)).await.unwrap();
    let (revived, goes) = office.next().await;
    assert_eq!((revived.id, revived.strikes), (JobId(1), 1));
    assert_eq!(registry.retry(JobId(1)).await.unwrap_err().code(), Code::JobState);
    assert_eq!(registry.purge(JobId(1)).await.unwrap_err().code(), Code::JobState);
    goes.send(Err(Fault::Event)).unwrap();
    for _ in 0..2 {
        office.next().await.1.send(Err(Fault::Event)).unwrap();
    }
    dead(registry.as_ref(), JobId(1)).await;
    registry.purge(JobId(1)).await.unwrap();
    assert_eq!(registry.purge(JobId(1)).await.unwrap_err().code(), Code::JobNotFound);
    assert_eq!(registry.jobs(9).await.unwrap(), []);
}

#[tokio::test]
async fn a_job_is_tried_for_as_long_as_its_surroundings_fail() {
    let home = Home::new();
    let registry = home.open().await;
    registry.enqueue(&[job("a")]).await.unwrap();
    let mut office = Office::open(&registry, settings(1));
    for tries in 1..=10 {
        let (job, goes) = office.next().await;
        assert_eq!((job.tries, job.strikes), (tries, 1));
        goes.send(Err(Fault::Surroundings)).unwrap();
    }
    let (_, goes) = office.next().await;
    goes.send(Ok(())).unwrap();
    assert_eq!(office.workers.settled("a", PATIENCE).await.unwrap(), None);
}

// An answer does not wait for an engine to come back.
#[tokio::test]
async fn who_waits_for_a_job_is_given_it_when_it_has_failed() {
    let home = Home::new();
    let registry = home.open().await;
    registry.enqueue(&[job("a")]).await.unwrap();
    let mut slow = settings(1);
    slow.retry.first = Duration::from_hours(1);
    slow.retry.longest = Duration::from_hours(1);
    let mut office = Office::open(&registry, slow);
    let (_, goes) = office.next().await;
    goes.send(Err(Fault::Surroundings)).unwrap();
    let left = office.workers.settled("a", PATIENCE).await.unwrap().unwrap();
    assert!(matches!(left.state, JobState::Waiting { .. }) && left.error.is_some(), "{left:?}");
}

#[tokio::test]
async fn a_job_that_panics_or_takes_too_long_has_failed() {
    let home = Home::new();
    let registry = home.open().await;
    registry.enqueue(&[job("a")]).await.unwrap();
    let mut office = Office::with_limit(&registry, settings(1), Duration::from_millis(20));
    let (_, goes) = office.next().await;
    drop(goes);
    let (_, _never_goes) = office.next().await;
    let (job, _never_goes) = office.next().await;
    assert_eq!(job.error.unwrap(), "it took longer than 0.02 s");
    let given_up = dead(registry.as_ref(), JobId(1)).await;
    assert_eq!(given_up.strikes, 3);
}
