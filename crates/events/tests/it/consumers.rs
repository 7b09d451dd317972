//! Durable consumers: catching up, failing, two processes' worth of drivers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use armor_core::error::{Code, Diagnostic};
use armor_core::event::{Consumer, ConsumerError, ConsumerName, Event, Fault, Seq};
use armor_core::time::SystemClock;
use armor_events::Consumers;
use async_trait::async_trait;
use sqlx::Connection;
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
                fault: Fault::Surroundings,
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
        let consumers = Consumers::start(
            registry.clone(),
            vec![notes.clone()],
            home.lock(),
            Arc::new(SystemClock),
        );
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
    let consumers =
        Consumers::start(registry.clone(), vec![notes.clone()], home.lock(), Arc::new(SystemClock));
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
    let first =
        Consumers::start(one.clone(), vec![notes.clone()], home.lock(), Arc::new(SystemClock));
    let second =
        Consumers::start(two.clone(), vec![notes.clone()], home.lock(), Arc::new(SystemClock));
    for _ in 0..50 {
        one.create(&task()).await.unwrap();
        two.create(&task()).await.unwrap();
    }
    assert!(first.caught_up(*one.appended().borrow(), LONG).await);
    assert!(second.caught_up(*two.appended().borrow(), LONG).await);
    let seen = notes.seen.lock().await.clone();
    assert!(seen.into_iter().eq(1..=100));
}

/// Fails on the events of these places, each time or until it is mended.
#[derive(Debug, Default)]
struct Picky {
    seen: Mutex<Vec<u64>>,
    hates: Vec<u64>,
    panics: bool,
    mended: AtomicU32,
}

#[async_trait]
impl Consumer for Picky {
    fn name(&self) -> ConsumerName {
        "picky"
    }

    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError> {
        let hated = events.iter().find(|event| self.hates.contains(&event.seq.0));
        if let Some(event) = hated
            && self.mended.load(Ordering::SeqCst) == 0
        {
            assert!(!self.panics, "event {} is too much", event.seq);
            return Err(ConsumerError {
                consumer: "picky",
                action: "swallow".to_owned(),
                fault: Fault::Event,
                source: format!("event {} is poison", event.seq).into(),
            });
        }
        self.seen.lock().await.extend(events.iter().map(|event| event.seq.0));
        Ok(())
    }
}

// Poison goes to the dead letters after bounded tries, and keeps up neither what is behind it nor
// the other consumers.
#[tokio::test]
async fn an_event_that_a_consumer_fails_on_becomes_a_dead_letter_that_can_be_retried() {
    for panics in [false, true] {
        let home = Home::new();
        let registry = home.open().await;
        let picky = Arc::new(Picky { hates: vec![3], panics, ..Picky::default() });
        let notes = Arc::new(Notes::default());
        let both: Vec<Arc<dyn Consumer>> = vec![picky.clone(), notes.clone()];
        for _ in 0..5 {
            registry.create(&task()).await.unwrap();
        }
        let clock = Arc::new(SystemClock);
        let consumers = Consumers::start(registry.clone(), both, home.lock(), clock);
        assert!(consumers.caught_up(Seq(5), LONG).await);
        assert_eq!(*picky.seen.lock().await, [1, 2, 4, 5]);
        assert_eq!(*notes.seen.lock().await, [1, 2, 3, 4, 5]);
        let lag = consumers.lag().await.unwrap();
        assert!(lag.iter().all(|lag| (lag.cursor, lag.events) == (Seq(5), 0)), "{lag:?}");

        let letters = registry.dead_letters(10).await.unwrap();
        let [letter] = letters.as_slice() else { panic!("{letters:?}") };
        assert_eq!((letter.id.to_string().as_str(), letter.tries), ("picky/3", 5));
        assert!(letter.reason.contains("event 3 is"), "{}", letter.reason);

        let error = consumers.retry(&letter.id).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadLetterFailed);
        picky.mended.store(1, Ordering::SeqCst);
        consumers.retry(&letter.id).await.unwrap();
        assert_eq!(*picky.seen.lock().await, [1, 2, 4, 5, 3]);
        assert_eq!(registry.dead_letters(10).await.unwrap(), []);
        let error = consumers.retry(&letter.id).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadLetterNotFound);
    }
}

// R95: a row that was damaged is told of, and the others are dealt with.
#[tokio::test]
async fn a_damaged_event_becomes_a_dead_letter_at_once() {
    let home = Home::new();
    let registry = home.open().await;
    for _ in 0..3 {
        registry.create(&task()).await.unwrap();
    }
    let url = format!("sqlite://{}", home.database().display());
    let mut raw = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let damage = "DROP TRIGGER events_never_change;
        UPDATE events SET name = CAST(x'ff' AS TEXT) WHERE seq = 2";
    sqlx::raw_sql(damage).execute(&mut raw).await.unwrap();
    let notes = Arc::new(Notes::default());
    let consumers =
        Consumers::start(registry.clone(), vec![notes.clone()], home.lock(), Arc::new(SystemClock));
    assert!(consumers.caught_up(Seq(3), LONG).await);
    assert_eq!(*notes.seen.lock().await, [1, 3]);
    let letters = registry.dead_letters(10).await.unwrap();
    assert_eq!(letters[0].id.to_string(), "notes/2");
    assert!(letters[0].reason.contains("event 2 is damaged"), "{}", letters[0].reason);
}

// Who was killed between its commit and its round leaves its events to others.
#[tokio::test]
async fn commits_of_a_process_without_consumers_are_dealt_with_by_another_soon() {
    let home = Home::new();
    let (ours, theirs) = (home.open().await, home.open().await);
    let notes = Arc::new(Notes::default());
    let consumers =
        Consumers::start(ours.clone(), vec![notes.clone()], home.lock(), Arc::new(SystemClock));
    assert!(consumers.caught_up(Seq(0), LONG).await);
    theirs.create(&task()).await.unwrap();
    assert!(consumers.caught_up(Seq(1), Duration::from_secs(15)).await, "before the slow look");
    assert_eq!(*notes.seen.lock().await, [1]);
}
