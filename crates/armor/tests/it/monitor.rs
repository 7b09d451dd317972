//! Sandboxes that take more than their share (R45).

use armor::{CommandLine, Execute};
use armor_core::event::{Event, EventPayload, SandboxEvent};
use armor_core::execution::ExecutionStatus;
use armor_core::sandbox::{MonitorAction, Resource};
use armor_registry::EventQuery;
use armor_testkit::{Home, require_engine};
use tokio_util::sync::CancellationToken;

use crate::support::{attached, open, sh};

#[tokio::test]
async fn engine_a_task_that_fills_the_disk_is_stopped_and_can_clean_up() {
    require_engine!();
    let home = Home::new().with("ARMOR_MONITOR_DISK_MIB", "16");
    let armor = open(&home).await;
    let (lifecycle, stop) = (armor.lifecycle().clone(), CancellationToken::new());
    let until = stop.clone();
    let watching = tokio::spawn(async move { lifecycle.keep_house(until).await });
    let task = attached(&armor, &home.repository()).await;
    let line = "head -c 33554432 /dev/zero > ~/large; sleep 1000";
    let request = Execute::new(CommandLine::Shell(line.to_owned()));
    let lifecycle = armor.lifecycle();
    let report =
        lifecycle.execute(task.id.as_str(), request, CancellationToken::new()).await.unwrap();
    assert_eq!(report.execution.status(), ExecutionStatus::Interrupted);
    // Why stands in the log, and what was made is there.
    let events = lifecycle.registry().events(&task.id, EventQuery::default()).await.unwrap();
    let exceeded = |event: &Event| match &event.payload {
        EventPayload::Sandbox(SandboxEvent::ShareExceeded { share, action }) => {
            share.resource == Resource::Disk
                && share.used >= 32 << 20
                && share.limit == 16 << 20
                && *action == MonitorAction::Stop
        }
        _ => false,
    };
    assert!(events.iter().any(exceeded), "{events:?}");
    assert_eq!(sh(&armor, &task, "stat -c %s ~/large; rm ~/large").await, "33554432\n");
    stop.cancel();
    watching.await.unwrap();
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}
