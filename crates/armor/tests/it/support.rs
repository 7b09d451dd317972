//! An open home and what the tests do in it.

use armor::task::Task;
use armor::{Armor, CommandLine, CreateTask, Execute, ExecutionReport, LifecycleError, Silent};
use armor_testkit::{Home, Repository};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) async fn open(home: &Home) -> Armor {
    Armor::builder(home.environment()).open().await.unwrap()
}

/// A task on a repository with an agent attached.
pub(crate) async fn attached(armor: &Armor, repository: &Repository) -> Task {
    let mut request = CreateTask::named("a task".parse().unwrap());
    request.workspace = Some(repository.path().to_owned());
    let task = armor.lifecycle().create(request).await.unwrap();
    attach(armor, &task).await.unwrap()
}

pub(crate) async fn attach(armor: &Armor, task: &Task) -> Result<Task, LifecycleError> {
    armor.lifecycle().attach(task.id.as_str(), "agent-1".parse().unwrap(), &Silent).await
}

/// Runs a shell line and gives what it wrote to standard output; it has to end well.
pub(crate) async fn sh(armor: &Armor, task: &Task, line: &str) -> String {
    let report = run(armor, task, line).await.unwrap();
    assert_eq!(report.execution.end.as_ref().unwrap().exit_code, Some(0), "{line}: {report:?}");
    report.stdout.text
}

pub(crate) async fn run(
    armor: &Armor,
    task: &Task,
    line: &str,
) -> Result<ExecutionReport, LifecycleError> {
    let request = Execute::new(CommandLine::Shell(line.to_owned()));
    armor.lifecycle().execute(task.id.as_str(), request, CancellationToken::new()).await
}

pub(crate) async fn events(armor: &Armor, task: &Task) -> Vec<&'static str> {
    let registry = armor.lifecycle().registry();
    let events = registry.events(&task.id, armor_registry::EventQuery::default()).await.unwrap();
    events.iter().map(armor_core::event::Event::name).collect()
}

/// Starts a command and waits until it has written something.
pub(crate) async fn begin(
    armor: &Armor,
    task: &Task,
    line: &str,
) -> JoinHandle<Result<ExecutionReport, LifecycleError>> {
    let (begun, mut pieces) = tokio::sync::mpsc::channel(8);
    let command = CommandLine::Shell(line.to_owned());
    let request = Execute { live: Some(begun), ..Execute::new(command) };
    let (lifecycle, id) = (armor.lifecycle().clone(), task.id.clone());
    let running = tokio::spawn(async move {
        lifecycle.execute(id.as_str(), request, CancellationToken::new()).await
    });
    assert!(pieces.recv().await.is_some());
    running
}
