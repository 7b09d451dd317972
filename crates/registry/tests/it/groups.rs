//! Writes of many callers at once, which share transactions.

use std::sync::Arc;

use armor_core::error::{Code, Diagnostic};
use armor_core::event::{Commit, Event, EventLog, Seq, SystemEvent, TaskEvent};
use armor_core::time::Clock;
use armor_registry::{EventQuery, Registry};
use tokio::task::JoinSet;

use crate::support::{Home, agent};

// Each caller has a result of its own, and nobody's failure undoes another's work.
#[tokio::test(flavor = "multi_thread")]
async fn callers_that_fail_at_the_same_time_as_others_succeed_fail_alone() {
    let home = Home::new();
    let registry = Arc::new(home.open().await);
    let taken = home.task("taken");
    registry.create(&taken).await.unwrap();
    let fresh: Vec<_> = (0..100).map(|n| home.task(&format!("t{n}"))).collect();
    let stale = {
        let mut change = taken.attach(agent("a"), home.clock.now()).unwrap();
        change.expected = 9;
        change
    };
    let mut callers = JoinSet::new();
    for (n, task) in fresh.iter().cloned().enumerate() {
        let (registry, taken, stale) = (Arc::clone(&registry), taken.clone(), stale.clone());
        callers.spawn(async move {
            match n % 4 {
                0 => {
                    let error = registry.create(&taken).await.unwrap_err();
                    assert_eq!(error.code(), Code::DatabaseFailed);
                }
                1 => {
                    let error = registry.commit(&stale).await.unwrap_err();
                    assert_eq!(error.code(), Code::TaskConflict);
                }
                _ => registry.create(&task).await.unwrap(),
            }
        });
    }
    callers.join_all().await;
    for (n, task) in fresh.iter().enumerate() {
        assert_eq!(registry.get(&task.id).await.is_ok(), n % 4 > 1, "{n}");
    }
    assert_eq!(registry.head().await.unwrap(), Seq(51), "one event for each that was made");
    assert_eq!(registry.check().await.unwrap(), Vec::<String>::new());
}

// What was handed over is written, also when the caller no longer waits; and it is told of.
#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_write_whole() {
    let home = Home::new();
    let registry = home.open().await;
    let task = home.task("t");
    let mut appended = registry.appended();
    {
        let creating = registry.create(&task);
        tokio::pin!(creating);
        // Polled once: handed over, not waited for.
        assert!(futures_util::poll!(&mut creating).is_pending());
    }
    appended.changed().await.unwrap();
    assert_eq!(registry.get(&task.id).await.unwrap(), task);
}

#[tokio::test]
async fn followers_are_given_what_was_committed_as_the_log_has_it() {
    let home = Home::new();
    let registry = home.open().await;
    let mut commits = registry.commits();
    let (one, two) = (home.task("one"), home.task("two"));
    registry.bulk_insert(&[one.clone(), two.clone()]).await.unwrap();
    let facts =
        ["a", "b", "c"].map(|reason| TaskEvent::CollectFailed { reason: reason.to_owned() });
    registry.append(&one.id, &facts.map(Into::into)).await.unwrap();
    let backup = SystemEvent::BackupCreated { path: "/b".into(), bytes: 7 };
    registry.announce(backup.clone()).await.unwrap();
    let mut told = Vec::new();
    while told.len() < 6 {
        let Commit::Ours(events) = commits.recv().await.unwrap() else { panic!("not ours") };
        told.extend(events.iter().cloned());
    }
    let stored = registry.read_after(Seq::START, 100, None).await.unwrap();
    assert!(told.iter().map(AsRef::as_ref).eq(stored.iter().flatten()));
    assert_eq!(told[5].payload, backup.into());
    assert_eq!(told[5].task(), None);
    let of_one = registry.events(&one.id, EventQuery::default()).await.unwrap();
    assert!(of_one.iter().map(Event::task_seq).eq(1..=4));
}

// R35: a process hears of another's commits without asking again and again.
#[tokio::test]
async fn the_commits_of_another_process_are_heard_of() {
    let home = Home::new();
    let (ours, theirs) = (home.open().await, home.open().await);
    let mut commits = ours.commits();
    for n in 0..5 {
        let before = std::time::Instant::now();
        theirs.create(&home.task(&format!("t{n}"))).await.unwrap();
        assert!(matches!(commits.recv().await.unwrap(), Commit::Theirs));
        // The slow look that makes up for a lost ring would come after seconds.
        assert!(before.elapsed() < std::time::Duration::from_secs(5));
        assert_eq!(ours.head().await.unwrap(), Seq(n + 1));
    }
}

#[tokio::test]
async fn a_registry_that_is_closed_says_so() {
    let home = Home::new();
    let registry = home.open().await;
    registry.close().await;
    let error = registry.create(&home.task("late")).await.unwrap_err();
    assert_eq!(error.to_string(), "the registry is closed");
}
