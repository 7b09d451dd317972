//! Tasks: kept, found, changed and removed.

use std::collections::BTreeMap;

use armor_core::error::{Code, Diagnostic};
use armor_core::event::{EventLog, Seq, TaskEvent};
use armor_core::task::{Metadata, Outcome, Task, TaskStatus};
use armor_core::time::Clock;
use armor_registry::{Order, Registry, RegistryError, TaskQuery};
use proptest::prelude::*;
use serde_json::json;
use sqlx::Connection;

use crate::support::{Home, agent};

fn outcome() -> Outcome {
    Outcome { message: Some("done".to_owned()), result: Some(json!({"tests": 3})) }
}

// R11
#[tokio::test]
async fn a_task_is_read_back_as_it_was_kept() {
    let home = Home::new();
    let registry = home.open().await;
    let mut task = home.task("read me back");
    task.metadata =
        Metadata::try_from(json!({"ticket": "A-1", "deep": {"er": [1, null]}})).unwrap();
    registry.create(&task).await.unwrap();
    assert_eq!(registry.get(&task.id).await.unwrap(), task);

    let running =
        registry.mark_running(&task.id, agent("a"), home.clock.now()).await.unwrap().unwrap();
    assert_eq!(registry.get(&task.id).await.unwrap(), running);
    let done =
        registry.mark_completed(&task.id, outcome(), home.clock.now()).await.unwrap().unwrap();
    assert_eq!(registry.get(&task.id).await.unwrap(), done);
    assert_eq!((done.status, done.version), (TaskStatus::Completed, 3));
}

// R12
#[tokio::test]
async fn a_change_from_an_old_version_is_refused_with_both_versions() {
    let home = Home::new();
    let registry = home.open().await;
    let task = home.task("contended");
    registry.create(&task).await.unwrap();
    let first = task.attach(agent("first"), home.clock.now()).unwrap();
    let second = task.attach(agent("second"), home.clock.now()).unwrap();
    registry.commit(&first).await.unwrap();
    let error = registry.commit(&second).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Conflict { expected: 1, actual: 2, .. }), "{error}");
    assert_eq!(registry.get(&task.id).await.unwrap().agent, Some(agent("first")));
    assert_eq!(registry.head().await.unwrap(), Seq(3), "what is refused leaves no event");

    let deleted = TaskEvent::Deleted { name: task.name.to_string() };
    let error = registry.delete(&task.id, 1, deleted.clone().into()).await.unwrap_err();
    assert_eq!(error.code(), Code::TaskConflict);
    registry.delete(&task.id, 2, deleted.clone().into()).await.unwrap();
    assert_eq!(registry.get(&task.id).await.unwrap_err().code(), Code::TaskNotFound);
    let error = registry.delete(&task.id, 2, deleted.into()).await.unwrap_err();
    assert_eq!(error.code(), Code::TaskNotFound);
    assert_eq!(registry.head().await.unwrap(), Seq(4), "the deletion's");
}

// R10
#[tokio::test]
async fn a_row_changed_by_hand_gets_its_time_of_change_from_the_database() {
    let home = Home::new();
    let registry = home.open().await;
    let task = home.task("t");
    registry.create(&task).await.unwrap();
    let url = format!("sqlite://{}", home.path().display());
    let mut raw = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE tasks SET owner = 'ann'").execute(&mut raw).await.unwrap();
    assert_ne!(registry.get(&task.id).await.unwrap().updated_at, task.updated_at);
}

// R1
#[tokio::test]
async fn a_task_is_meant_by_id_prefix_or_name_and_an_ambiguous_one_lists_the_candidates() {
    let home = Home::new();
    let registry = home.open().await;
    let (one, two, three) = (home.task("one"), home.task("twin"), home.task("twin"));
    registry.bulk_insert(&[one.clone(), two.clone(), three.clone()]).await.unwrap();

    for reference in [one.id.as_str(), &one.id.as_str()[..25], "one"] {
        let found = registry.resolve(reference).await;
        // The first 25 characters may be shared with the others only by a rare chance of the
        // random part; the clock moved a second, so they are not.
        assert_eq!(found.unwrap(), one, "{reference}");
    }
    let common: String = one
        .id
        .as_str()
        .chars()
        .zip(three.id.as_str().chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a)
        .collect();
    for (reference, count) in [("twin", 2), (common.as_str(), 3)] {
        match registry.resolve(reference).await.unwrap_err() {
            error @ RegistryError::Ambiguous { .. } => {
                let hint = error.next_step().unwrap();
                assert_eq!(hint.matches(&common).count(), count, "{hint}");
            }
            error => panic!("{error}"),
        }
    }
    for reference in ["", "nothing", "%", "' OR 1=1 --", "\0"] {
        let error = registry.resolve(reference).await.unwrap_err();
        assert_eq!(error.code(), Code::TaskNotFound, "{reference:?}");
    }
}

#[tokio::test]
async fn bulk_changes_happen_all_or_not_at_all() {
    let home = Home::new();
    let registry = home.open().await;
    let tasks = [home.task("a"), home.task("b"), home.task("c")];
    registry.bulk_insert(&tasks[..2]).await.unwrap();
    assert!(registry.bulk_insert(&tasks[1..]).await.is_err(), "b is there already");
    assert_eq!(registry.get(&tasks[2].id).await.unwrap_err().code(), Code::TaskNotFound);

    let now = home.clock.now();
    let good = tasks[0].attach(agent("x"), now).unwrap();
    let mut stale = tasks[1].attach(agent("x"), now).unwrap();
    stale.expected = 7;
    let error = registry.bulk_update(&[good.clone(), stale]).await.unwrap_err();
    assert!(matches!(error, RegistryError::Conflict { expected: 7, actual: 1, .. }), "{error}");
    assert_eq!(registry.get(&tasks[0].id).await.unwrap(), tasks[0]);
    assert!(registry.bulk_update(&[good.clone(), good.clone()]).await.is_err(), "twice the same");
    registry.bulk_update(&[good]).await.unwrap();
    assert_eq!(registry.get(&tasks[0].id).await.unwrap().status, TaskStatus::Running);
}

#[tokio::test]
async fn statistics_count_by_status_and_owner() {
    let home = Home::new();
    let registry = home.open().await;
    let mut tasks = vec![home.task("a"), home.task("b"), home.task("c")];
    tasks[2].owner = "ann".parse().unwrap();
    registry.bulk_insert(&tasks).await.unwrap();
    registry.mark_running(&tasks[0].id, agent("x"), home.clock.now()).await.unwrap().unwrap();
    home.clock.advance(std::time::Duration::from_secs(4));
    registry.mark_failed(&tasks[0].id, "why".to_owned(), home.clock.now()).await.unwrap().unwrap();
    let statistics = registry.statistics().await.unwrap();
    assert_eq!(statistics.total, 3);
    assert_eq!(
        statistics.by_status,
        BTreeMap::from([("failed".to_owned(), 1), ("pending".to_owned(), 2)])
    );
    assert_eq!(
        statistics.by_owner,
        BTreeMap::from([("ann".to_owned(), 1), ("nobody".to_owned(), 2)])
    );
    assert_eq!((statistics.mean_duration_ms, statistics.max_duration_ms), (Some(4000), Some(4000)));
}

fn matches(task: &Task, query: &TaskQuery) -> bool {
    query.status.is_none_or(|status| task.status == status)
        && query.owner.as_ref().is_none_or(|owner| task.owner.as_str() == owner)
        && query.name.as_ref().is_none_or(|name| task.name == *name)
        && query.created_from.is_none_or(|from| task.created_at >= from)
        && query.created_to.is_none_or(|to| task.created_at < to)
        && query.label.as_ref().is_none_or(|(key, value)| {
            task.metadata.as_map().get(key).and_then(|v| v.as_str()) == Some(value)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // R11: whatever the filter and the page size, paging shows exactly the matching tasks, once.
    #[test]
    fn paging_through_a_filtered_list_shows_each_match_once_and_in_order(
        kinds in prop::collection::vec((0_u8..3, 0_u8..2, 0_u8..2), 0..20),
        status in prop::option::of(prop::sample::select(&TaskStatus::ALL[..2])),
        owner in prop::option::of("owner[01]"),
        name in prop::option::of("name[012]"),
        label in prop::option::of("[01]"),
        window in prop::option::of((0_i64..20, 0_i64..20)),
        oldest_first in any::<bool>(),
        limit in 1_u32..7,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let home = Home::new();
            let registry = home.open().await;
            let start = home.clock.now();
            let mut model = Vec::new();
            for (name, owner, running) in kinds {
                let mut task = home.task(&format!("name{name}"));
                task.owner = format!("owner{owner}").parse().unwrap();
                task.metadata = Metadata::try_from(json!({"odd\"key": owner.to_string()})).unwrap();
                registry.create(&task).await.unwrap();
                if running == 1 {
                    let now = home.clock.now();
                    task = registry.mark_running(&task.id, agent("x"), now).await.unwrap().unwrap();
                }
                model.push(task);
            }
            let second = |n: i64| armor_core::time::Timestamp::from_micros(start.as_micros() + n * 1_000_000);
            let mut query = TaskQuery {
                status,
                owner,
                name: name.map(|name| name.parse().unwrap()),
                text: None,
                label: label.map(|value| ("odd\"key".to_owned(), value)),
                created_from: window.map(|(from, _)| second(from)),
                created_to: window.map(|(_, to)| second(to)),
                order: if oldest_first { Order::OldestFirst } else { Order::NewestFirst },
                after: None,
                limit,
            };
            let mut expected: Vec<_> = model.into_iter().filter(|task| matches(task, &query)).collect();
            if !oldest_first {
                expected.reverse();
            }
            let mut found = Vec::new();
            loop {
                let page = registry.list(&query).await.unwrap();
                assert!(page.items.len() <= limit as usize);
                found.extend(page.items);
                query.after = page.next;
                if query.after.is_none() { break }
            }
            assert_eq!(found, expected);
        });
    }
}
