//! Executions: begun once, ended once.

use armor_core::error::{Code, Diagnostic};
use armor_core::event::TaskEvent;
use armor_core::execution::{
    CommandLine, Execution, ExecutionEnd, ExecutionStatus, ExecutionUsage,
};
use armor_core::id::{ExecutionId, InstanceId};
use armor_core::task::Task;
use armor_core::time::{Clock, Timestamp};
use armor_registry::{EventQuery, Registry};

use crate::support::{Home, agent};

fn execution(task: &Task, id: &str, now: Timestamp) -> Execution {
    Execution {
        id: ExecutionId::parse(id).unwrap(),
        task: task.id.clone(),
        agent: agent("a"),
        command: CommandLine::Argv(vec!["make".to_owned(), "test".to_owned()]),
        cwd: "/workspace".to_owned(),
        instance: InstanceId::parse("i1").unwrap(),
        started_at: now,
        end: None,
    }
}

// R15
#[tokio::test]
async fn an_execution_is_kept_from_its_start_to_its_end_and_ends_once() {
    let home = Home::new();
    let registry = home.open().await;
    let task = home.task("t");
    registry.create(&task).await.unwrap();
    let now = home.clock.now();
    let (one, two) = (execution(&task, "e1", now), execution(&task, "e2", now));
    registry.begin_execution(&one, &["CI".to_owned()]).await.unwrap();
    registry.begin_execution(&two, &[]).await.unwrap();
    assert_eq!(registry.running_executions().await.unwrap(), [one.clone(), two.clone()]);

    let end = ExecutionEnd {
        status: ExecutionStatus::Exited,
        exit_code: Some(2),
        at: Timestamp::from_micros(now.as_micros() + 1_500_000),
        stdout_bytes: 10,
        stderr_bytes: 20,
        usage: Some(ExecutionUsage { cpu_micros: 1, max_memory_bytes: 2, out_of_memory: true }),
    };
    assert!(registry.end_execution(&one, &end).await.unwrap());
    let again = ExecutionEnd { status: ExecutionStatus::Interrupted, ..end.clone() };
    assert!(!registry.end_execution(&one, &again).await.unwrap(), "it has ended already");

    let read = registry.execution(&task.id, &one.id).await.unwrap();
    assert_eq!((read.duration_ms(), read.end), (Some(1500), Some(end)));
    assert_eq!(registry.running_executions().await.unwrap(), std::slice::from_ref(&two));
    let ids: Vec<_> =
        registry.executions(&task.id, 10).await.unwrap().into_iter().map(|e| e.id).collect();
    assert_eq!(ids, [two.id, one.id]);
    let events = registry.events(&task.id, EventQuery::default()).await.unwrap();
    let names: Vec<_> = events.iter().map(armor_core::event::Event::name).collect();
    assert_eq!(
        names,
        ["task:created", "execution:started", "execution:started", "execution:finished"]
    );
}

#[tokio::test]
async fn executions_go_with_their_task_and_none_begins_without_it() {
    let home = Home::new();
    let registry = home.open().await;
    let task = home.task("t");
    registry.create(&task).await.unwrap();
    let one = execution(&task, "e1", home.clock.now());
    registry.begin_execution(&one, &[]).await.unwrap();
    let deleted = TaskEvent::Deleted { name: "t".to_owned() };
    registry.delete(&task.id, 1, deleted.into()).await.unwrap();
    let error = registry.execution(&task.id, &one.id).await.unwrap_err();
    assert_eq!(error.code(), Code::ExecutionNotFound);
    let error = registry.begin_execution(&one, &[]).await.unwrap_err();
    assert_eq!(error.code(), Code::TaskNotFound);
}
