//! Leases across processes (R12).

use std::sync::Arc;
use std::time::Duration;

use armor_core::error::{Code, Diagnostic};
use armor_registry::{Registry, RegistryError};
use tokio::task::JoinSet;

use crate::support::Home;

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_lease_is_held_by_one_until_it_is_given_up_or_expires() {
    let home = Home::new();
    let (one, two) = (home.open().await, home.open().await);
    let first = one.take_lease("sweep", "a", MINUTE).await.unwrap();
    let error = two.take_lease("sweep", "b", MINUTE).await.unwrap_err();
    assert_eq!(error.code(), Code::LeaseHeld);
    assert!(matches!(&error, RegistryError::LeaseHeld { lease } if *lease == first), "{error}");
    two.take_lease("other", "b", MINUTE).await.unwrap();
    assert_eq!(two.leases().await.unwrap().len(), 2);

    assert!(one.give_up_lease(&first).await.unwrap());
    assert!(!one.give_up_lease(&first).await.unwrap());
    let second = two.take_lease("sweep", "b", MINUTE).await.unwrap();
    assert!(second.token > first.token);

    // Its holder died: the time takes it over.
    home.clock.advance(MINUTE);
    let third = one.take_lease("sweep", "a", MINUTE).await.unwrap();
    assert!(third.token > second.token);
    let error = two.renew_lease(&second, MINUTE).await.unwrap_err();
    assert_eq!(error.code(), Code::LeaseLost);
    assert!(!two.give_up_lease(&second).await.unwrap(), "what is lost is not given up");
    assert_eq!(one.leases().await.unwrap(), [third]);
}

#[tokio::test]
async fn a_lease_that_is_renewed_in_time_is_kept_and_a_late_renewal_too_if_nobody_took_it() {
    let home = Home::new();
    let (one, two) = (home.open().await, home.open().await);
    let mut held = one.take_lease("sweep", "a", MINUTE).await.unwrap();
    for _ in 0..5 {
        home.clock.advance(MINUTE / 2);
        held = one.renew_lease(&held, MINUTE).await.unwrap();
        let error = two.take_lease("sweep", "b", MINUTE).await.unwrap_err();
        assert_eq!(error.code(), Code::LeaseHeld);
    }
    home.clock.advance(MINUTE * 2);
    held = one.renew_lease(&held, MINUTE).await.unwrap();
    assert_eq!(two.take_lease("sweep", "b", MINUTE).await.unwrap_err().code(), Code::LeaseHeld);
    assert!(one.give_up_lease(&held).await.unwrap());
    assert_eq!(one.renew_lease(&held, MINUTE).await.unwrap_err().code(), Code::LeaseLost);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_for_a_lease_at_once_one_gets_it() {
    let home = Home::new();
    let (one, two) = (Arc::new(home.open().await), Arc::new(home.open().await));
    for round in 1..=5_u64 {
        let mut asking = JoinSet::new();
        for n in 0..20 {
            let registry = Arc::clone(if n % 2 == 0 { &one } else { &two });
            asking.spawn(async move {
                registry.take_lease("sweep", &format!("owner {n}"), MINUTE).await.ok()
            });
        }
        let got: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
        assert_eq!(got.iter().map(|lease| lease.token).collect::<Vec<_>>(), [round]);
        one.give_up_lease(&got[0]).await.unwrap();
    }
}
