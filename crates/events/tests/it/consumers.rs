//! Durable consumers: catching up, failing, two processes' worth of drivers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use armor_core::event::{Consumer, ConsumerError, ConsumerName, Event, Seq};
use armor_events::Consumers;
use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::support::{Home, task};

const LONG: Duration = Duration::from_secs(30);

/// Notes what it is given; fails the first `failures` times.
#[derive(Debug, Default)]
struct Notes {
    seen: Mutex<Vec<u64>>,
    failures: AtomicU32,
}

#[async_trait]
impl Consumer for Notes {
    fn name(&self) -> ConsumerName {
        "notes"
    }

    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError> {
        if self.failures.load(Ordering::SeqCst) > 0 {
            self.failures.fetch_sub(1, Ordering::SeqCst);
            return Err(ConsumerError {
                consumer: "notes",
                action: "write".to_owned(),
                source: "no ink".into(),
            });
        }
        self.seen.lock().await.extend(events.iter().map(|event| event.seq.0));
        Ok(())
    }
}

// Section 2: a consumer catches up after a stop, from its stored cursor.
#[tokio::test]
async fn a_consumer_goes_on_where_its_cursor_stands() {
    let home = Home::new();
    let registry = home.open().await;
    for round in 1..=3_u64 {
        let notes = Arc::new(Notes::default());
        for _ in 0..150 {
            registry.create(&task()).await.unwrap();
        }
        let consumers = Consumers::start(registry.clone(), vec![notes.clone()], home.lock());
        assert!(consumers.caught_up(Seq(round * 150), LONG).await);
        consumers.stop(LONG).await;
        let seen = notes.seen.lock().await.clone();
        assert!(seen.into_iter().eq((round - 1) * 150 + 1..=round * 150));
    }
    assert_eq!(registry.cursor("notes").await.unwrap(), Seq(450));
}

#[tokio::test]
async fn a_consumer_that_failed_is_given_the_same_events_again() {
    let home = Home::new();
    let registry = home.open().await;
    let notes = Arc::new(Notes { failures: AtomicU32::new(1), ..Notes::default() });
    let consumers = Consumers::start(registry.clone(), vec![notes.clone()], home.lock());
    registry.create(&task()).await.unwrap();
    assert!(consumers.caught_up(Seq(1), LONG).await);
    assert_eq!(*notes.seen.lock().await, [1]);
}

// Two processes with one home: each event is applied by one of them.
#[tokio::test(flavor = "multi_thread")]
async fn two_drivers_of_one_home_never_apply_an_event_at_the_same_time() {
    let home = Home::new();
    let (one, two) = (home.open().await, home.open().await);
    let notes = Arc::new(Notes::default());
    let first = Consumers::start(one.clone(), vec![notes.clone()], home.lock());
    let second = Consumers::start(two.clone(), vec![notes.clone()], home.lock());
    for _ in 0..50 {
        one.create(&task()).await.unwrap();
        two.create(&task()).await.unwrap();
    }
    assert!(first.caught_up(*one.appended().borrow(), LONG).await);
    assert!(second.caught_up(*two.appended().borrow(), LONG).await);
    let seen = notes.seen.lock().await.clone();
    assert!(seen.into_iter().eq(1..=100));
}
