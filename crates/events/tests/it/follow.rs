//! Following the log: replay, then live, without a gap or a double (R31).

use std::sync::Arc;
use std::time::Duration;

use armor_core::event::{Seq, TaskEvent};
use armor_core::task::Task;
use armor_events::{Bus, Follower, Selection, Start};
use armor_registry::Registry;
use proptest::prelude::*;

use crate::support::{Home, task};

fn failed(reason: &str) -> armor_core::event::EventPayload {
    TaskEvent::CollectFailed { reason: reason.to_owned() }.into()
}

async fn seqs(follower: &mut Follower, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(30), follower.next()).await;
        seqs.push(next.unwrap().unwrap().unwrap().seq.0);
    }
    seqs
}

#[tokio::test]
async fn a_follower_replays_the_last_events_that_match_and_goes_on_live() {
    let home = Home::new();
    let registry = home.open().await;
    let (one, two) = (task(), task());
    registry.bulk_insert(&[one.clone(), two.clone()]).await.unwrap();
    for n in 0..1000 {
        let task = if n % 100 == 0 { &one } else { &two };
        registry.append(&task.id, &[failed("x")]).await.unwrap();
    }
    let bus = Bus::start(registry.clone()).await.unwrap();
    let of_one = Selection { pattern: "task:*".parse().unwrap(), task: Some(one.id.clone()) };
    let mut last = bus.follow(Start::Last(3), of_one.clone()).await.unwrap();
    let mut all = bus.follow(Start::Last(50), of_one).await.unwrap();
    let mut none = bus.follow(Start::Last(0), Selection::ALL).await.unwrap();
    registry.append(&one.id, &[failed("live")]).await.unwrap();
    assert_eq!(seqs(&mut last, 4).await, [703, 803, 903, 1003]);
    assert_eq!(seqs(&mut all, 12).await[..2], [1, 3], "fewer than asked for: all of them");
    assert_eq!(seqs(&mut none, 1).await, [1003]);
}

#[tokio::test]
async fn a_follower_begins_at_a_time_or_behind_a_number() {
    let home = Home::new();
    let registry = home.open().await;
    let bus = Bus::start(registry.clone()).await.unwrap();
    for _ in 0..10 {
        registry.create(&task()).await.unwrap();
    }
    let seventh = registry.read_after(Seq(6), 1, None).await.unwrap().remove(0).unwrap();
    let mut since = bus.follow(Start::Since(seventh.at), Selection::ALL).await.unwrap();
    let mut after = bus.follow(Start::After(Seq(8)), Selection::ALL).await.unwrap();
    let first = seqs(&mut since, 1).await[0];
    assert!(first <= 7, "several may have been committed at one moment");
    let at = registry.read_after(Seq(first - 1), 1, None).await.unwrap().remove(0).unwrap().at;
    assert_eq!(at, seventh.at);
    assert_eq!(seqs(&mut after, 2).await, [9, 10]);
    assert!(after.stored().await.unwrap().is_none());
}

// R30: the policy for a slow follower is that it misses nothing.
#[tokio::test]
async fn a_follower_that_lags_reads_from_the_log_what_it_missed() {
    let home = Home::new();
    let registry = home.open().await;
    let bus = Bus::start(registry.clone()).await.unwrap();
    let mut slow = bus.follow(Start::Now, Selection::ALL).await.unwrap();
    let tasks: Vec<_> = (0..3000).map(|_| task()).collect();
    registry.bulk_insert(&tasks).await.unwrap();
    assert!(seqs(&mut slow, 3000).await.into_iter().eq(1..=3000));
}

#[tokio::test]
async fn a_subscription_for_once_ends_with_its_first_event() {
    let home = Home::new();
    let registry = home.open().await;
    let bus = Bus::start(registry.clone()).await.unwrap();
    let once = bus.once("*:collectFailed".parse().unwrap()).await.unwrap();
    let task = task();
    registry.create(&task).await.unwrap();
    registry.append(&task.id, &[failed("a"), failed("b")]).await.unwrap();
    assert_eq!(once.event().await.unwrap().unwrap().seq, Seq(2));
}

// R35: what another process commits reaches followers here, in order with our own.
#[tokio::test(flavor = "multi_thread")]
async fn commits_of_two_processes_are_followed_as_one_log() {
    let home = Home::new();
    let (ours, theirs) = (home.open().await, home.open().await);
    let bus = Bus::start(ours.clone()).await.unwrap();
    let mut follower = bus.follow(Start::Now, Selection::ALL).await.unwrap();
    let writing = |registry: Arc<dyn Registry>| {
        tokio::spawn(async move {
            for _ in 0..100 {
                registry.create(&task()).await.unwrap();
            }
        })
    };
    let (one, two) = (writing(ours), writing(theirs));
    assert!(seqs(&mut follower, 200).await.into_iter().eq(1..=200));
    one.await.unwrap();
    two.await.unwrap();
}

/// A step of the model: something is committed, or somebody begins to follow, or reads on.
#[derive(Debug, Clone)]
enum Step {
    Commit { ours: bool, events: usize },
    Follow(Start),
    Read { who: usize, events: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 1_usize..40).prop_map(|(ours, events)| Step::Commit { ours, events }),
        1 => prop_oneof![
            Just(Start::Now),
            (0_u32..60).prop_map(Start::Last),
            (0_u64..200).prop_map(|seq| Start::After(Seq(seq))),
        ].prop_map(Step::Follow),
        3 => (0_usize..8, 1_usize..60).prop_map(|(who, events)| Step::Read { who, events }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    // R31 against a model: a follower's events are exactly those of the log behind its start.
    #[test]
    fn followers_see_every_event_behind_their_start_once_and_in_order(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let home = Home::new();
            let (ours, theirs) = (home.open().await, home.open().await);
            let task: Task = task();
            ours.create(&task).await.unwrap();
            let bus = Bus::start(ours.clone()).await.unwrap();
            let mut length = 1_u64;
            // Each with the number that it is to see next.
            let mut followers: Vec<(Follower, u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Commit { ours: by_us, events } => {
                        let registry = if by_us { &ours } else { &theirs };
                        let facts: Vec<_> = (0..events).map(|_| failed("x")).collect();
                        registry.append(&task.id, &facts).await.unwrap();
                        length += events as u64;
                    }
                    Step::Follow(start) => {
                        let follower = bus.follow(start, Selection::ALL).await.unwrap();
                        let next = match start {
                            Start::Last(count) => length.saturating_sub(count.into()) + 1,
                            Start::After(seq) => seq.0 + 1,
                            Start::Now | Start::Since(_) => length + 1,
                        };
                        followers.push((follower, next));
                    }
                    Step::Read { who, events } => {
                        let Some((follower, next)) = followers.get_mut(who) else { continue };
                        let there = (length + 1).saturating_sub(*next);
                        for _ in 0..(events as u64).min(there) {
                            assert_eq!(seqs(follower, 1).await, [*next]);
                            *next += 1;
                        }
                    }
                }
            }
            for (follower, next) in &mut followers {
                while *next <= length {
                    assert_eq!(seqs(follower, 1).await, [*next]);
                    *next += 1;
                }
            }
        });
    }
}
