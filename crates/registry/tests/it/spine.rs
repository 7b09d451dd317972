//! The spine: a change and its events are one, and the log is read in order.

use armor_core::event::{Commit, Event, EventLog, Seq, TaskEvent};
use armor_core::task::Outcome;
use armor_core::time::Clock;
use armor_registry::{EventQuery, Registry};
use sqlx::{Connection, SqliteConnection};

use crate::support::{Home, agent};

// Section 2: update and events are one transaction.
#[tokio::test]
async fn every_change_stands_in_the_log_in_order_without_a_gap() {
    let home = Home::new();
    let registry = home.open().await;
    let (one, two) = (home.task("one"), home.task("two"));
    let now = home.clock.now();
    registry.bulk_insert(&[one.clone(), two.clone()]).await.unwrap();
    registry.mark_running(&one.id, agent("a"), now).await.unwrap().unwrap();
    registry
        .append(&one.id, &[TaskEvent::CollectFailed { reason: "x".to_owned() }.into()])
        .await
        .unwrap();
    registry
        .mark_completed(&one.id, Outcome { message: None, result: None }, now)
        .await
        .unwrap()
        .unwrap();
    let done = registry.get(&one.id).await.unwrap();
    let deleted = TaskEvent::Deleted { name: "one".to_owned() };
    registry.delete(&one.id, done.version, deleted.into()).await.unwrap();

    let of_one = registry.events(&one.id, EventQuery::default()).await.unwrap();
    let names: Vec<_> = of_one.iter().map(armor_core::event::Event::name).collect();
    assert_eq!(
        names,
        [
            "task:created",
            "task:started",
            "task:attached",
            "task:collectFailed",
            "task:detached",
            "task:completed",
            "task:deleted",
        ]
    );
    assert!(of_one.iter().map(Event::task_seq).eq(1..=7));

    let all = registry.read_after(Seq::START, 100, None).await.unwrap();
    assert!(all.iter().flatten().map(|event| event.seq.0).eq(1..=8));
    assert_eq!(registry.head().await.unwrap(), Seq(8));
    assert_eq!(*registry.appended().borrow(), Seq(8));
    let part = registry.read_after(Seq(3), 2, None).await.unwrap();
    assert!(part.iter().flatten().map(|event| event.seq.0).eq(4..=5));
}

// Each goes alone, and the full text index, which writes on its own account, merges what it has
// again and again meanwhile.
#[tokio::test]
async fn of_hundreds_of_single_changes_each_stands_in_the_log_and_refused_ones_do_not() {
    const TASKS: u64 = 300;
    let home = Home::new();
    let registry = home.open().await;
    let mut commits = registry.commits();
    for number in 0..TASKS {
        let task = home.task(&format!("number {number}"));
        registry.create(&task).await.unwrap();
        let mut change = task.attach(agent("a"), home.clock.now()).unwrap();
        change.after.name = format!("renamed {number}").parse().unwrap();
        change.events.truncate(1);
        registry.commit(&change).await.unwrap();
        registry.commit(&change).await.unwrap_err();
        let deleted = TaskEvent::Deleted { name: change.after.name.to_string() };
        registry.delete(&task.id, 1, deleted.clone().into()).await.unwrap_err();
        registry.delete(&task.id, 2, deleted.into()).await.unwrap();
        let events = registry.events(&task.id, EventQuery::default()).await.unwrap();
        assert!(events.iter().map(|event| event.seq.0).eq(number * 3 + 1..=number * 3 + 3));
        for event in events {
            let Commit::Ours(told) = commits.recv().await.unwrap() else { panic!("ours alone") };
            assert_eq!(*told[0], event, "who follows is told what stands in the log");
        }
    }
    assert_eq!(registry.head().await.unwrap(), Seq(TASKS * 3));
    assert_eq!(registry.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_change_leaves_no_event() {
    let home = Home::new();
    let registry = home.open().await;
    let task = home.task("t");
    registry.create(&task).await.unwrap();
    let mut stale = task.attach(agent("a"), home.clock.now()).unwrap();
    stale.expected = 9;
    registry.commit(&stale).await.unwrap_err();
    registry.bulk_insert(&[task]).await.unwrap_err();
    assert_eq!(registry.head().await.unwrap(), Seq(1));
}

#[tokio::test]
async fn events_can_be_neither_changed_nor_removed() {
    let home = Home::new();
    let registry = home.open().await;
    registry.create(&home.task("t")).await.unwrap();
    let url = format!("sqlite://{}", home.path().display());
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    for sql in ["UPDATE events SET name = 'task:forged'", "DELETE FROM events"] {
        let error = sqlx::query(sql).execute(&mut raw).await.unwrap_err();
        assert!(error.to_string().contains("events"), "{error}");
    }
}

#[tokio::test]
async fn a_cursor_is_kept_and_never_goes_back() {
    let home = Home::new();
    let registry = home.open().await;
    assert_eq!(registry.cursor("audit").await.unwrap(), Seq::START);
    registry.advance(&[("audit", Seq(5)), ("mirror", Seq(4))]).await.unwrap();
    registry.advance(&[("audit", Seq(3))]).await.unwrap();
    registry.close().await;
    let registry = home.open().await;
    assert_eq!(registry.cursor("audit").await.unwrap(), Seq(5));
    assert_eq!(registry.cursor("mirror").await.unwrap(), Seq(4));
    assert_eq!(registry.cursor("other").await.unwrap(), Seq::START);
}

#[tokio::test]
async fn followers_in_the_process_are_told_of_each_commit() {
    let home = Home::new();
    let registry = home.open().await;
    let mut appended = registry.appended();
    assert_eq!(*appended.borrow_and_update(), Seq(0));
    registry.create(&home.task("t")).await.unwrap();
    appended.changed().await.unwrap();
    assert_eq!(*appended.borrow_and_update(), Seq(1));
}
