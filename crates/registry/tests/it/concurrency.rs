//! Several callers and several open registries at once on one file.

use std::sync::Arc;

use armor_core::event::{Event, EventLog, EventPayload, Seq};
use armor_core::task::{Change, Metadata, Task, TaskError};
use armor_core::time::Clock;
use armor_registry::{EventQuery, Registry};
use serde_json::json;

use crate::support::{Home, agent};

/// Counts up a number in the metadata: lost updates would show.
fn counted_up(task: &Task) -> Result<Change, TaskError> {
    let mut change = task.attach(agent("counter"), task.updated_at)?;
    let count = task.metadata.as_map().get("count").and_then(serde_json::Value::as_u64);
    change.after.metadata = Metadata::try_from(json!({"count": count.unwrap_or(0) + 1})).unwrap();
    Ok(change)
}

// R12, R13: four open registries, eight callers each; no error, no lost update, no gap.
#[tokio::test(flavor = "multi_thread")]
async fn a_counter_raised_by_many_at_once_adds_up_exactly() {
    const OPEN: usize = 4;
    const CALLERS: usize = 8;
    const TIMES: usize = 5;
    let home = Home::new();
    let task = home.task("counter");
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..OPEN {
        let registry = Arc::new(home.open().await);
        if number == 0 {
            registry.create(&task).await.unwrap();
        }
        for _ in 0..CALLERS {
            let (registry, id) = (Arc::clone(&registry), task.id.clone());
            callers.spawn(async move {
                for _ in 0..TIMES {
                    registry.change(&id, &counted_up).await.unwrap().unwrap();
                }
            });
        }
    }
    callers.join_all().await;

    let registry = home.open().await;
    let after = registry.get(&task.id).await.unwrap();
    let total = OPEN * CALLERS * TIMES;
    assert_eq!(after.metadata.as_map()["count"], json!(total));
    assert_eq!(after.version, 1 + total as u64);
    let events = registry.events(&task.id, EventQuery::default()).await.unwrap();
    assert!(events.iter().map(Event::task_seq).eq(1..=total as u64 + 2));
}

// Section 2: whoever has seen number n has seen everything up to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_follows_writers_sees_every_event_once_in_order() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 25;
    let home = Home::new();
    let registry = Arc::new(home.open().await);
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let registry = Arc::clone(&registry);
        let tasks: Vec<_> = (0..EACH).map(|n| home.task(&format!("t{n}"))).collect();
        writers.spawn(async move {
            for task in tasks {
                registry.create(&task).await.unwrap();
            }
        });
    }
    let mut appended = registry.appended();
    let mut seen = Seq::START;
    while seen.0 < WRITERS * EACH {
        for event in registry.read_after(seen, 7, None).await.unwrap() {
            let event = event.unwrap();
            assert_eq!(event.seq.0, seen.0 + 1);
            assert!(matches!(event.payload, EventPayload::Task(_)));
            assert!(event.at <= home.clock.now());
            seen = event.seq;
        }
        if *appended.borrow_and_update() == seen && seen.0 < WRITERS * EACH {
            appended.changed().await.unwrap();
        }
    }
    writers.join_all().await;
}

// Whoever stops waiting takes a connection along, and its place is free when that is closed.
#[tokio::test(flavor = "multi_thread")]
async fn reads_that_are_no_longer_waited_for_disturb_no_other() {
    let home = Home::new();
    let registry = Arc::new(home.open().await);
    let tasks: Vec<_> = (0..500).map(|n| home.task(&format!("t{n}"))).collect();
    registry.bulk_insert(&tasks).await.unwrap();
    for turn in 0..200_u32 {
        let reading = registry.read_after(Seq::START, 500, None);
        let mut reading = std::pin::pin!(reading);
        for _ in 0..turn % 4 {
            if futures_util::poll!(&mut reading).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let registry = Arc::clone(&registry);
        readers.spawn(async move { registry.read_after(Seq::START, 1_000, None).await });
    }
    for read in readers.join_all().await {
        assert_eq!(read.unwrap().len(), 500);
    }
    registry.close().await;
}
