//! Sandboxes that take what they may, or too much of it: what their agents and their log are told, and
//! what is done about them (R45, R52).

use std::path::Path;
use std::time::{Duration, Instant};

use armor_core::event::{Event, EventPayload, SandboxEvent};
use armor_core::sandbox::{MonitorAction, Resource, Use};
use armor_registry::{EventQuery, Registry, SqliteRegistry};
use armor_testkit::{Home, engine, require_engine};
use serde_json::json;

use crate::support::{attached, client, registry};

/// The monitor waits a minute before it does something, and looks every ten seconds.
const LONG: Duration = Duration::from_mins(4);

#[tokio::test]
async fn engine_a_command_that_runs_out_of_memory_is_told_as_such() {
    require_engine!();
    let home = Home::new();
    let server = client(&home).await;
    let arguments = json!({ "name": "greedy", "limits": { "memory_mib": 64 } });
    let (task, _) = attached(&home, &server, arguments).await;
    let run = |command: &[&str]| json!({ "task_id": task, "command": command });
    let bomb = run(&["tail", "/dev/zero"]);
    let result = server.call_raw("execute_in_task", bomb.clone()).await;
    let ended = &result["structuredContent"];
    assert_eq!((&result["isError"], &ended["exit_code"]), (&json!(true), &json!(137)));
    assert_eq!(ended["usage"]["out_of_memory"], true, "{ended:#}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("the sandbox ran out of memory"), "{text}");
    let problem = server.fail("execute_in_task", bomb).await;
    assert_eq!(problem["code"], "execution.out_of_memory");
    assert!(problem["next_step"].as_str().unwrap().contains("memory limit"), "{problem:#}");

    // One that lost a process and ended well is no error, but it did run out of memory.
    let goes_on = server.call("execute_in_task", run(&["sh", "-c", "tail /dev/zero; true"])).await;
    assert_eq!(
        (&goes_on["exit_code"], &goes_on["usage"]["out_of_memory"]),
        (&json!(0), &json!(true))
    );
    let alive = server.call("execute_in_task", run(&["echo", "alive"])).await;
    assert_eq!(alive["stdout"], "alive\n");
    assert_eq!(alive["usage"]["out_of_memory"], false, "{alive:#}");
    server.call("delete_task", json!({ "task_id": task, "force": true })).await;
    assert!(server.close().await.success());
    assert_eq!(home.leftovers().await, Vec::<String>::new());
}

async fn events(registry: &SqliteRegistry, task: &str) -> Vec<Event> {
    registry.events(&task.parse().unwrap(), EventQuery::default()).await.unwrap()
}

/// Waits until something is in a task's log, and gives it.
async fn logged<T>(
    registry: &SqliteRegistry,
    task: &str,
    wanted: impl Fn(&SandboxEvent) -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        let events = events(registry, task).await;
        let found = events.iter().find_map(|event| match &event.payload {
            EventPayload::Sandbox(event) => wanted(event),
            _ => None,
        });
        if let Some(found) = found {
            return found;
        }
        assert!(begun.elapsed() < LONG, "{events:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn is_paused(sandbox: &str) -> bool {
    let container = engine::docker().inspect_container(sandbox, None).await.unwrap();
    container.state.unwrap().paused == Some(true)
}

fn length(file: &Path) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

// Two tasks at once, since each takes the minute that the monitor waits.
#[tokio::test]
async fn engine_what_takes_too_much_is_told_of_and_stands_still_until_the_next_command() {
    require_engine!();
    let home = Home::new()
        .with("ARMOR_MONITOR_ACTION", "pause")
        .with("ARMOR_MONITOR_MEMORY_PERCENT", "10")
        .with("ARMOR_MONITOR_PIDS_PERCENT", "50")
        .with("ARMOR_MONITOR_CPU_PERCENT", "100");
    let server = client(&home).await;
    let large = attached(&home, &server, json!({ "name": "large" })).await;
    let arguments = json!({ "name": "many", "limits": { "pids": 32, "memory_mib": 512 } });
    let many = attached(&home, &server, arguments).await;
    let ticks = "while true; do echo tick >> ticks; sleep 0.1; done & true";
    let takes_memory = format!("head -c 67108864 /dev/zero > /tmp/large; {ticks}");
    let takes_processes =
        format!("i=0; while [ $i -lt 20 ]; do sleep 1000 & i=$((i+1)); done; {ticks}");
    let registry = registry(&home).await;
    let places = [
        (large, takes_memory, Resource::Memory, 256 << 20, 10),
        (many, takes_processes, Resource::Pids, 32, 50),
    ];
    for ((task, _), line, ..) in &places {
        let begun =
            server.call("execute_in_task", json!({ "task_id": task, "command": line })).await;
        assert_eq!(begun["exit_code"], 0, "{begun:#}");
    }

    for ((task, workspace), _, resource, limit, percent) in &places {
        let is_it = |share: &Use| {
            share.resource == *resource && share.limit == *limit && share.is_above(*percent)
        };
        // Told first; then, when that was no use, something is done.
        logged(&registry, task, |event| match event {
            SandboxEvent::ShareHigh { share } => is_it(share).then_some(()),
            _ => None,
        })
        .await;
        let action = logged(&registry, task, |event| match event {
            SandboxEvent::ShareExceeded { share, action } => is_it(share).then_some(*action),
            _ => None,
        });
        assert_eq!(action.await, MonitorAction::Pause);
        let sandbox = logged(&registry, task, |event| match event {
            SandboxEvent::Created { sandbox, .. } => Some(sandbox.to_string()),
            _ => None,
        });
        let sandbox = sandbox.await;
        let begun = Instant::now();
        while !is_paused(&sandbox).await {
            assert!(begun.elapsed() < LONG, "it does not stand still");
        }
        let ticks = workspace.join("ticks");
        let before = length(&ticks);
        assert!(before > 0);
        assert!(is_paused(&sandbox).await);
        assert_eq!(length(&ticks), before);

        let alive = json!({ "task_id": task, "command": "echo alive" });
        assert_eq!(server.call("execute_in_task", alive).await["stdout"], "alive\n");
        let begun = Instant::now();
        while length(&ticks) == before {
            assert!(begun.elapsed() < LONG, "what it left behind does not go on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    // It is the same sandbox: nothing was lost or made again.
    for ((task, _), ..) in &places {
        let events = events(&registry, task).await;
        let names = events.iter().map(Event::name).filter(|name| name.starts_with("sandbox:"));
        let made: Vec<_> = names.filter(|name| !name.starts_with("sandbox:share")).collect();
        assert_eq!(made, ["sandbox:created"]);
        server.call("delete_task", json!({ "task_id": task, "force": true })).await;
    }
    assert!(server.close().await.success());
    assert_eq!(home.leftovers().await, Vec::<String>::new());
}
