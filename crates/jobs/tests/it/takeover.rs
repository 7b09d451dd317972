//! Jobs whose worker is gone.

use std::time::Duration;

use armor_core::job::{JobId, JobState};
use armor_jobs::WorkerSettings;

use crate::support::{Home, Office, PATIENCE, job, settings};

const SHORT: Duration = Duration::from_millis(50);

// R33, R96: whoever dies at a job leaves it to others.
#[tokio::test]
async fn a_job_whose_worker_died_is_taken_up_when_its_time_has_run_out() {
    let home = Home::new();
    let registry = home.open().await;
    registry.enqueue(&[job("a")]).await.unwrap();
    let lost = registry.claim(&["errand"], "one who dies", SHORT).await.unwrap().unwrap();

    let mut office = Office::open(&registry, settings(1));
    let (taken, goes) = office.next().await;
    assert_eq!((taken.id, taken.tries, taken.strikes), (JobId(1), 2, 2));
    // What the other one says, should it live after all, counts no more.
    assert!(!registry.finish(&lost).await.unwrap());
    assert!(!registry.extend(&lost, SHORT).await.unwrap());
    assert!(!registry.put_back(&lost, taken.created_at, None, true).await.unwrap());
    goes.send(Ok(())).unwrap();
    assert_eq!(office.workers.settled("a", PATIENCE).await.unwrap(), None);
    assert_eq!(registry.jobs(9).await.unwrap(), []);
}

#[tokio::test]
async fn a_job_that_takes_its_process_along_is_given_up_in_the_end() {
    let home = Home::new();
    let registry = home.open().await;
    registry.enqueue(&[job("a")]).await.unwrap();
    for _ in 0..3 {
        let claim = registry.claim(&["errand"], "one who dies", Duration::ZERO).await.unwrap();
        assert!(claim.is_some());
    }
    let mut office = Office::open(&registry, settings(1));
    let mut stirred = registry.stirred();
    let died = async {
        while registry.job(JobId(1)).await.unwrap().state != JobState::Dead {
            stirred.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, died).await.unwrap();
    assert!(office.is_idle(), "it is not tried again");
}

#[tokio::test]
async fn a_job_that_takes_long_stays_with_its_worker() {
    let home = Home::new();
    let registry = home.open().await;
    registry.enqueue(&[job("a")]).await.unwrap();
    let impatient = WorkerSettings { hold: SHORT, ..settings(2) };
    let mut office = Office::open(&registry, impatient);
    let (_, goes) = office.next().await;
    let JobState::Running { until: first, .. } = registry.job(JobId(1)).await.unwrap().state else {
        panic!("it runs");
    };
    // Until it has asked for more time, several times over.
    let held = async {
        loop {
            tokio::task::yield_now().await;
            let state = registry.job(JobId(1)).await.unwrap().state;
            if matches!(state, JobState::Running { until, .. } if until > first.plus(4 * SHORT)) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, held).await.unwrap();
    assert!(office.is_idle(), "nobody else has taken it up");
    goes.send(Ok(())).unwrap();
    assert_eq!(office.workers.settled("a", PATIENCE).await.unwrap(), None);
}

#[tokio::test]
async fn workers_that_stop_put_back_what_they_leave() {
    let home = Home::new();
    let registry = home.open().await;
    registry.enqueue(&[job("a"), job("b")]).await.unwrap();
    let mut office = Office::open(&registry, settings(1));
    let (_, _never_goes) = office.next().await;
    office.workers.stop(SHORT).await;
    let left = registry.jobs(9).await.unwrap();
    assert!(left.iter().all(|job| matches!(job.state, JobState::Waiting { .. })), "{left:?}");
    assert_eq!(
        left.iter().map(|job| (job.tries, job.strikes)).collect::<Vec<_>>(),
        [(0, 0), (0, 0)]
    );

    let mut office = Office::open(&registry, settings(1));
    assert_eq!(office.next().await.0.id, JobId(1));
}
