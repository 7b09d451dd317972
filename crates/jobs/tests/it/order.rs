//! Which job is done when.

use armor_core::job::{JobState, NewJob, Priority};

use crate::support::{Home, Office, PATIENCE, job, settings};

// R33: per-key order, and a pool.
#[tokio::test]
async fn jobs_of_a_key_are_done_one_after_the_other_and_others_at_the_same_time() {
    let home = Home::new();
    let registry = home.open().await;
    let jobs = [job("a"), job("a"), job("b"), job("a")];
    registry.enqueue(&jobs).await.unwrap();
    let mut office = Office::open(&registry, settings(4));

    let (first, first_goes) = office.next().await;
    let (other, other_goes) = office.next().await;
    assert_eq!((first.cause, other.cause), (jobs[0].cause.clone(), jobs[2].cause.clone()));
    assert!(office.is_idle(), "there are two keys");
    first_goes.send(Ok(())).unwrap();
    let (second, second_goes) = office.next().await;
    assert_eq!(second.cause, jobs[1].cause);
    second_goes.send(Ok(())).unwrap();
    let (third, third_goes) = office.next().await;
    assert_eq!(third.cause, jobs[3].cause);
    third_goes.send(Ok(())).unwrap();
    assert_eq!(office.workers.settled("a", PATIENCE).await.unwrap(), None);

    assert!(matches!(registry.jobs(9).await.unwrap()[0].state, JobState::Running { .. }));
    other_goes.send(Ok(())).unwrap();
    assert_eq!(office.workers.settled("b", PATIENCE).await.unwrap(), None);
    assert_eq!(registry.jobs(9).await.unwrap(), []);
}

// R33: priorities.
#[tokio::test]
async fn a_job_of_a_higher_priority_goes_first() {
    let home = Home::new();
    let registry = home.open().await;
    let with = |key: &str, priority| NewJob { priority, ..job(key) };
    let jobs = [
        with("a", Priority::Low),
        with("b", Priority::Normal),
        with("c", Priority::High),
        with("d", Priority::High),
    ];
    registry.enqueue(&jobs).await.unwrap();
    let mut office = Office::open(&registry, settings(1));
    let mut keys = Vec::new();
    for _ in 0..jobs.len() {
        let (job, goes) = office.next().await;
        keys.push(job.key);
        goes.send(Ok(())).unwrap();
    }
    assert_eq!(keys, ["c", "d", "b", "a"]);
}

// R32: a consumer may be given an event twice.
#[tokio::test]
async fn an_event_has_one_job_of_a_kind_however_often_it_is_given() {
    let home = Home::new();
    let registry = home.open().await;
    let jobs = [job("a"), job("b")];
    registry.enqueue(&jobs[..1]).await.unwrap();
    registry.enqueue(&jobs).await.unwrap();
    let kept: Vec<_> = registry.jobs(9).await.unwrap().into_iter().map(|job| job.cause).collect();
    assert_eq!(kept, jobs.map(|job| job.cause));
}

// R35: what another process keeps is begun without delay.
#[tokio::test]
async fn a_job_that_another_process_keeps_is_begun_and_its_end_is_seen_there() {
    let home = Home::new();
    let (ours, theirs) = (home.open().await, home.open().await);
    let mut office = Office::open(&ours, settings(1));
    let mut stirred = theirs.stirred();
    theirs.enqueue(&[job("a")]).await.unwrap();
    let (_, goes) = office.next().await;
    assert!(theirs.first_of("a").await.unwrap().is_some());
    goes.send(Ok(())).unwrap();
    let done = async {
        while theirs.first_of("a").await.unwrap().is_some() {
            stirred.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, done).await.unwrap();
}
