//! Hooks and the events of their points.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use armor::diagnostics::{Code, Diagnostic};
use armor::hook::{Hook, HookFailure, HookPoint, HookedChange};
use armor::task::{Outcome, Task, TaskStatus};
use armor::{Armor, CreateTask};
use armor_testkit::{Home, require_engine};
use async_trait::async_trait;

use crate::support::{attach, events};

/// Notes that it ran, and fails if it is to.
#[derive(Debug)]
struct Noting {
    name: &'static str,
    point: HookPoint,
    priority: i32,
    says: Result<(), &'static str>,
    notes: Arc<Mutex<Vec<(&'static str, TaskStatus)>>>,
}

#[async_trait]
impl Hook for Noting {
    fn name(&self) -> &str {
        self.name
    }

    fn point(&self) -> HookPoint {
        self.point
    }

    fn priority(&self) -> i32 {
        self.priority
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(50)
    }

    async fn run(&self, task: &Task) -> Result<(), HookFailure> {
        self.notes.lock().unwrap().push((self.name, task.status));
        match self.says {
            Ok(()) => Ok(()),
            Err("hangs") => std::future::pending().await,
            Err("panics") => panic!("the test says so"),
            Err(reason) => Err(HookFailure(reason.to_owned())),
        }
    }
}

type Notes = Arc<Mutex<Vec<(&'static str, TaskStatus)>>>;
type Given = (&'static str, HookPoint, i32, Result<(), &'static str>);

/// An open home with these hooks, and what they note.
async fn open(home: &Home, hooks: &[Given], settings: &[(&str, &str)]) -> (Armor, Notes) {
    let notes = Notes::default();
    let mut builder = Armor::builder(home.environment());
    for (key, value) in settings {
        builder = builder.set(*key, *value);
    }
    for (name, point, priority, says) in hooks {
        let (name, point, priority, says) = (*name, *point, *priority, *says);
        let notes = notes.clone();
        builder = builder.hook(Arc::new(Noting { name, point, priority, says, notes }));
    }
    (builder.open().await.unwrap(), notes)
}

async fn task(armor: &Armor) -> Task {
    armor.lifecycle().create(CreateTask::named("a task".parse().unwrap())).await.unwrap()
}

const BEFORE_START: HookPoint = HookPoint::before(HookedChange::Start);
const BEFORE_COMPLETE: HookPoint = HookPoint::before(HookedChange::Complete);
const AFTER_COMPLETE: HookPoint = HookPoint::after(HookedChange::Complete);
const BEFORE_FAIL: HookPoint = HookPoint::before(HookedChange::Fail);

// R34: dual write; R41: by priority, each with a time limit, an after-hook's failure is recorded
// and does not stop the others.
#[tokio::test]
async fn engine_hooks_run_at_their_points_in_order_and_the_points_are_events() {
    require_engine!();
    let home = Home::new();
    let hooks = [
        ("second", AFTER_COMPLETE, 1, Err("is out of order")),
        ("first", AFTER_COMPLETE, 0, Err("hangs")),
        ("third", AFTER_COMPLETE, 1, Err("panics")),
        ("gate", BEFORE_COMPLETE, 0, Ok(())),
        ("start", BEFORE_START, 0, Ok(())),
        ("last", AFTER_COMPLETE, 2, Err("is late")),
    ];
    let (armor, notes) = open(&home, &hooks, &[]).await;
    let task = task(&armor).await;
    attach(&armor, &task).await.unwrap();
    // Attaching again is no start.
    attach(&armor, &task).await.unwrap();
    armor
        .lifecycle()
        .complete(task.id.as_str(), Outcome { message: None, result: None })
        .await
        .unwrap();

    // They run in the background.
    let mut log = armor.lifecycle().registry().appended();
    let after_hooks = async {
        while events(&armor, &task).await.iter().filter(|e| **e == "hook:failed").count() < 4 {
            log.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_mins(1), after_hooks).await.unwrap();

    let pending = TaskStatus::Pending;
    let (running, completed) = (TaskStatus::Running, TaskStatus::Completed);
    let after =
        [("first", completed), ("second", completed), ("third", completed), ("last", completed)];
    let noted = notes.lock().unwrap().clone();
    assert_eq!(noted[..2], [("start", pending), ("gate", running)]);
    assert_eq!(noted[2..], after);
    assert_eq!(
        events(&armor, &task).await,
        [
            "task:created",
            "task:beforeStart",
            "sandbox:created",
            "task:started",
            "task:attached",
            "task:afterStart",
            "task:attached",
            "task:beforeComplete",
            "task:detached",
            "task:completed",
            "task:afterComplete",
            "hook:failed",
            "hook:failed",
            "hook:failed",
            "hook:failed",
        ]
    );
    armor.close().await;
}

#[tokio::test]
async fn engine_a_hook_that_refuses_stops_the_change_and_is_told_and_noted() {
    require_engine!();
    let home = Home::new();
    let hooks =
        [("policy", BEFORE_FAIL, 0, Err("not on a Sunday")), ("behind it", BEFORE_FAIL, 1, Ok(()))];
    let (armor, notes) = open(&home, &hooks, &[]).await;
    let task = task(&armor).await;
    attach(&armor, &task).await.unwrap();
    let refused = armor.lifecycle().fail(task.id.as_str(), "no luck".to_owned()).await.unwrap_err();
    assert_eq!(refused.code(), Code::HookRefused);
    assert_eq!(refused.to_string(), "the hook `policy` (beforeFail) refused: not on a Sunday");
    assert_eq!(notes.lock().unwrap().len(), 1, "the one behind it did not run");
    let task = armor.lifecycle().resolve(task.id.as_str()).await.unwrap();
    assert_eq!(task.status, TaskStatus::Running);
    let events = events(&armor, &task).await;
    assert_eq!(events[events.len() - 2..], ["task:beforeFail", "hook:refused"]);
    // Giving it up is none of the six points.
    armor.lifecycle().cancel(task.id.as_str(), None).await.unwrap();
    armor.close().await;
}

// R34: each side is switchable.
#[tokio::test]
async fn engine_hooks_and_their_events_are_switched_off_each_for_itself() {
    require_engine!();
    let hooks = [("gate", BEFORE_START, 0, Ok(()))];
    for (off, runs, emits) in [("hooks.run", false, true), ("hooks.emit", true, false)] {
        let home = Home::new();
        let (armor, notes) = open(&home, &hooks, &[(off, "false")]).await;
        let task = task(&armor).await;
        attach(&armor, &task).await.unwrap();
        let events = events(&armor, &task).await;
        assert_eq!(notes.lock().unwrap().len(), usize::from(runs), "{off}");
        assert_eq!(events.contains(&"task:beforeStart"), emits, "{off}");
        assert_eq!(events.contains(&"task:afterStart"), emits, "{off}");
        armor.close().await;
    }
}
