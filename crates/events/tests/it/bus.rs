//! The bus: order, patterns, lag.

use armor_core::id::AgentId;
use armor_core::time::{Clock, SystemClock};
use armor_events::{Bus, Missed, Pattern};

use crate::support::{Home, task};

// R30
#[tokio::test]
async fn a_subscriber_gets_what_matches_in_order_from_its_start_on() {
    let home = Home::new();
    let registry = home.open().await;
    registry.create(&task()).await.unwrap();
    let bus = Bus::start(registry.clone()).await.unwrap();
    let mut all = bus.subscribe(Pattern::ALL);
    let mut starts = bus.subscribe("*:started".parse().unwrap());

    let task = task();
    registry.create(&task).await.unwrap();
    let agent = AgentId::parse("a").unwrap();
    registry.commit(&task.attach(agent, SystemClock.now()).unwrap()).await.unwrap();

    for (seq, name) in [(2, "task:created"), (3, "task:started"), (4, "task:attached")] {
        let event = all.next().await.unwrap().unwrap();
        assert_eq!((event.seq.0, event.name()), (seq, name));
    }
    assert_eq!(starts.next().await.unwrap().unwrap().seq.0, 3);
    drop(bus);
    assert_eq!(starts.next().await, Ok(None));
}

// R30: the policy for a slow subscriber.
#[tokio::test]
async fn a_subscriber_that_lags_is_told_how_many_it_missed_and_goes_on() {
    let home = Home::new();
    let registry = home.open().await;
    let bus = Bus::start(registry.clone()).await.unwrap();
    let mut slow = bus.subscribe(Pattern::ALL);
    let mut quick = bus.subscribe(Pattern::ALL);
    let tasks: Vec<_> = (0..1500).map(|_| task()).collect();
    registry.bulk_insert(&tasks).await.unwrap();
    let mut last = 0;
    let mut missed = 0;
    while last < 1500 {
        match quick.next().await {
            Ok(event) => last = event.unwrap().seq.0,
            Err(Missed(count)) => missed += count,
        }
    }
    let Err(Missed(count)) = slow.next().await else { panic!("nothing was missed") };
    assert!(count >= missed && count == 1500 - 1024, "{count}");
    assert_eq!(slow.next().await.unwrap().unwrap().seq.0, count + 1);
}
