//! Sandboxes that take more than their share (R45).

use armor::task::Task;
use armor::{Armor, CommandLine, Execute};
use armor_core::event::{EventPayload, SandboxEvent};
use armor_core::execution::ExecutionStatus;
use armor_core::sandbox::{MonitorAction, Resource, Use};
use armor_registry::EventQuery;
use armor_testkit::{Home, Repository, require_engine};
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{attached, open, run, sh};

const LIMIT: u64 = 16 << 20;

/// One in which a task may take so much of the disk.
fn small_home() -> Home {
    Home::new().with("ARMOR_MONITOR_DISK_MIB", (LIMIT >> 20).to_string())
}

/// Watches what sandboxes take until it is told to stop.
fn watch(armor: &Armor) -> (CancellationToken, JoinHandle<()>) {
    let (lifecycle, stop) = (armor.lifecycle().clone(), CancellationToken::new());
    let until = stop.clone();
    (stop, tokio::spawn(async move { lifecycle.keep_house(until).await }))
}

/// What a task took too much of the disk, and what was done about it.
async fn exceeded(armor: &Armor, task: &Task) -> Vec<(Use, MonitorAction)> {
    let registry = armor.lifecycle().registry();
    let events = registry.events(&task.id, EventQuery::default()).await.unwrap();
    let exceeded = events.into_iter().filter_map(|event| match event.payload {
        EventPayload::Sandbox(SandboxEvent::ShareExceeded { share, action })
            if share.resource == Resource::Disk =>
        {
            Some((share, action))
        }
        _ => None,
    });
    exceeded.collect()
}

#[tokio::test]
async fn engine_a_task_that_fills_the_disk_is_stopped_and_can_clean_up() {
    require_engine!();
    let home = small_home();
    let armor = open(&home).await;
    let (stop, watching) = watch(&armor);
    let task = attached(&armor, &home.repository()).await;
    let line = "head -c 33554432 /dev/zero > ~/large; sleep 1000";
    let request = Execute::new(CommandLine::Shell(line.to_owned()));
    let lifecycle = armor.lifecycle();
    let report =
        lifecycle.execute(task.id.as_str(), request, CancellationToken::new()).await.unwrap();
    assert_eq!(report.execution.status(), ExecutionStatus::Interrupted);
    // Why stands in the log, and what was made is there.
    let told = exceeded(&armor, &task).await;
    assert!(!told.is_empty());
    for (share, action) in told {
        assert!(share.used > LIMIT && share.limit == LIMIT, "{share:?}");
        assert_eq!(action, MonitorAction::Stop);
    }
    assert_eq!(sh(&armor, &task, "rm ~/large && echo gone").await, "gone\n");
    stop.cancel();
    watching.await.unwrap();
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}

/// Makes two trees whose lowest folder has nearly as long a path as there can be.
const DEEP: &str = "deep=$(printf 'aaaaaaaaaa/%.0s' $(seq 300)); mkdir -p ~/a/$deep ~/b/$deep";

async fn try_to_hide(armor: &Armor, repository: &Repository, trick: &str) {
    let task = attached(armor, repository).await;
    let report = run(armor, &task, &format!("{trick}; sleep 1000")).await.unwrap();
    assert_eq!(report.execution.status(), ExecutionStatus::Interrupted, "{trick}");
    let told = exceeded(armor, &task).await;
    assert!(!told.is_empty(), "{trick}");
    for (share, action) in told {
        // All of it, and once; or what was made of it when it was looked at.
        assert!((LIMIT..5 * LIMIT / 2).contains(&share.used), "{trick}: {share:?}");
        assert_eq!(action, MonitorAction::Kill, "{trick}");
    }
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
}

#[tokio::test]
async fn engine_no_trick_hides_from_the_limit_on_the_disk() {
    require_engine!();
    let home = small_home().with("ARMOR_MONITOR_DISK_ACTION", "kill");
    let armor = open(&home).await;
    let (stop, watching) = watch(&armor);
    let repository = home.repository();
    let tricks = [
        "exec 3>~/gone; rm ~/gone; head -c 33554432 /dev/zero >&3".to_owned(),
        "head -c 33554432 /dev/zero".to_owned(),
        // Its path is longer than any that can be opened.
        format!("{DEEP}; head -c 33554432 /dev/zero > ~/a/${{deep}}large; mv ~/a ~/b/$deep"),
        // One of its many names has a path that can be.
        format!(
            "{DEEP}; head -c 33554432 /dev/zero > ~/large; \
             for name in $(seq 20); do ln ~/large ~/a/$deep$name; done; mv ~/a ~/b/$deep"
        ),
    ];
    join_all(tricks.iter().map(|trick| try_to_hide(&armor, &repository, trick))).await;
    stop.cancel();
    watching.await.unwrap();
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}
