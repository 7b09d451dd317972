//! What a task asks for, and what the engine's machine has (R51).

use std::time::Duration;

use armor::CreateTask;
use armor_core::error::{Code, Diagnostic};
use armor_core::sandbox::AskedLimits;
use armor_testkit::{Home, require_engine};

use crate::support::{attached, open, sh};

/// More than any machine has: the most that can be asked for.
const CPU_MILLIS: u32 = 1 << 20;
const MEMORY_MIB: u32 = 1 << 22;

/// Of one thing each.
fn too_much() -> [AskedLimits; 2] {
    let nothing = AskedLimits::default();
    [
        AskedLimits { cpu_millis: Some(CPU_MILLIS), ..nothing },
        AskedLimits { memory_mib: Some(MEMORY_MIB), ..nothing },
    ]
}

#[tokio::test]
async fn engine_a_task_that_asks_for_more_than_there_is_is_refused_and_nothing_of_it_stays() {
    require_engine!();
    let home = Home::new()
        .with("ARMOR_POLICY_CPU_MILLIS", CPU_MILLIS.to_string())
        .with("ARMOR_POLICY_MEMORY_MIB", MEMORY_MIB.to_string());
    let armor = open(&home).await;
    let (lifecycle, repository) = (armor.lifecycle(), home.repository());
    let before = repository.git(&["for-each-ref"]);
    for limits in too_much() {
        let mut request = CreateTask::named("a task".parse().unwrap());
        request.workspace = Some(repository.path().to_owned());
        request.limits = limits;
        let error = lifecycle.create(request).await.unwrap_err();
        assert_eq!(error.code(), Code::EngineUnsupported, "{error}");
        assert!(error.next_step().unwrap().starts_with("Ask for less"), "{error}");
    }
    assert!(lifecycle.registry().recent(1).await.unwrap().is_empty());
    assert_eq!(repository.git(&["for-each-ref"]), before);
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}

#[tokio::test]
async fn engine_a_task_that_asks_for_nothing_has_at_most_what_there_is() {
    require_engine!();
    let home = Home::new()
        .with("ARMOR_SANDBOX_CPU_MILLIS", CPU_MILLIS.to_string())
        .with("ARMOR_SANDBOX_MEMORY_MIB", MEMORY_MIB.to_string());
    let armor = open(&home).await;
    let lifecycle = armor.lifecycle();
    let there = lifecycle.runtime().capacity().await.unwrap();
    let task = attached(&armor, &home.repository()).await;
    sh(&armor, &task, "true").await;
    let figures = lifecycle.figures(Duration::from_millis(100)).await.unwrap();
    for limits in [task.sandbox.limits, figures[0].limits] {
        assert_eq!(limits.cpu_millis, there.cpu_millis);
        assert_eq!(Some(limits.memory_mib), there.memory_mib);
    }
    // What somebody asks for in words is refused, though it is no more than what all have.
    for limits in too_much() {
        let mut request = CreateTask::named("another task".parse().unwrap());
        request.limits = limits;
        let error = lifecycle.create(request).await.unwrap_err();
        assert_eq!(error.code(), Code::EngineUnsupported, "{error}");
    }
    lifecycle.delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}
