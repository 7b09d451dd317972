//! Checkpoints: rows that come and go with their events.

use armor_core::checkpoint::{Checkpoint, CheckpointCause, Forgotten, ForkedFrom};
use armor_core::error::{Code, Diagnostic};
use armor_core::event::{Event, TaskEvent};
use armor_core::task::Task;
use armor_core::time::Clock;
use armor_registry::{EventQuery, Registry, RegistryError};

use crate::support::Home;

fn checkpoint(home: &Home, task: &Task, id: &str, name: Option<&str>) -> Checkpoint {
    home.clock.advance(std::time::Duration::from_secs(1));
    Checkpoint {
        id: id.parse().unwrap(),
        task: task.id.clone(),
        name: name.map(|name| name.parse().unwrap()),
        cause: CheckpointCause::BeforeRestore,
        parent: Some("before".parse().unwrap()),
        created_at: home.clock.now(),
        files: 1,
        bytes: 2,
        bytes_added: 3,
        left_out: 4,
        pinned: false,
    }
}

async fn names(registry: &dyn Registry, task: &Task) -> Vec<&'static str> {
    let events = registry.events(&task.id, EventQuery::default()).await.unwrap();
    events.iter().map(Event::name).skip(1).collect()
}

// R15
#[tokio::test]
async fn a_checkpoint_comes_is_pinned_and_goes_each_with_one_event() {
    let home = Home::new();
    let registry = home.open().await;
    let (task, other) = (home.task("t"), home.task("u"));
    registry.bulk_insert(&[task.clone(), other.clone()]).await.unwrap();
    let one = checkpoint(&home, &task, "cp1", Some("one"));
    let two = checkpoint(&home, &task, "cp2", None);
    let theirs = checkpoint(&home, &other, "cp3", Some("one"));
    for checkpoint in [&one, &two, &theirs] {
        registry.add_checkpoint(checkpoint).await.unwrap();
    }
    assert_eq!(registry.checkpoints(Some(&task.id)).await.unwrap(), [one.clone(), two.clone()]);
    assert_eq!(registry.checkpoints(None).await.unwrap(), [one.clone(), two.clone(), theirs]);

    assert!(registry.pin_checkpoint(&task.id, &two.id, true).await.unwrap());
    assert!(!registry.pin_checkpoint(&task.id, &two.id, true).await.unwrap(), "it is");
    let of_another = registry.pin_checkpoint(&other.id, &two.id, false).await.unwrap_err();
    assert_eq!(of_another.code(), Code::CheckpointNotFound);
    assert!(registry.checkpoint(&task.id, "cp2").await.unwrap().pinned);
    assert!(registry.pin_checkpoint(&task.id, &two.id, false).await.unwrap());

    for (task, goes) in [(&other, false), (&task, true), (&task, false)] {
        let gone = registry.forget_checkpoint(&task.id, &one.id, Forgotten::Asked).await;
        assert_eq!(gone.unwrap(), goes);
    }
    assert_eq!(registry.checkpoints(Some(&task.id)).await.unwrap(), [two]);
    assert_eq!(
        names(&registry, &task).await,
        [
            "checkpoint:taken",
            "checkpoint:taken",
            "checkpoint:pinned",
            "checkpoint:unpinned",
            "checkpoint:forgotten"
        ]
    );
}

#[tokio::test]
async fn a_checkpoint_is_found_by_name_id_or_the_beginning_of_that() {
    let home = Home::new();
    let registry = home.open().await;
    let task = home.task("t");
    registry.create(&task).await.unwrap();
    for (id, name) in [("cp1", Some("cp")), ("cp22", None), ("cp23", Some("cp1"))] {
        registry.add_checkpoint(&checkpoint(&home, &task, id, name)).await.unwrap();
    }
    let find = async |reference: &str| {
        registry.checkpoint(&task.id, reference).await.map(|one| one.id.to_string())
    };
    assert_eq!(find("cp").await.unwrap(), "cp1", "a name before the beginning of an id");
    assert_eq!(find("cp1").await.unwrap(), "cp1", "an id before a name");
    assert_eq!(find("cp22").await.unwrap(), "cp22");
    let several = find("cp2").await.unwrap_err();
    assert_eq!(several.code(), Code::CheckpointAmbiguous);
    assert!(several.next_step().unwrap().contains("cp22, cp23"));
    for none in ["", "x", "cp222", "%"] {
        assert_eq!(find(none).await.unwrap_err().code(), Code::CheckpointNotFound, "{none}");
    }
}

#[tokio::test]
async fn a_name_is_one_checkpoints_and_a_task_that_is_gone_has_none() {
    let home = Home::new();
    let registry = home.open().await;
    let task = home.task("t");
    registry.create(&task).await.unwrap();
    let adding = (0..8).map(|number| checkpoint(&home, &task, &format!("cp{number}"), Some("n")));
    let adding: Vec<_> = adding.collect();
    let added =
        futures_util::future::join_all(adding.iter().map(|one| registry.add_checkpoint(one))).await;
    assert_eq!(added.iter().filter(|added| added.is_ok()).count(), 1);
    let refused = added.into_iter().filter_map(Result::err);
    for error in refused {
        assert!(matches!(error, RegistryError::CheckpointNameTaken { .. }), "{error}");
    }
    assert_eq!(names(&registry, &task).await, ["checkpoint:taken"], "what is refused is no event");

    let deleted = TaskEvent::Deleted { name: "t".to_owned() }.into();
    registry.delete(&task.id, task.version, deleted).await.unwrap();
    assert!(registry.checkpoints(None).await.unwrap().is_empty());
    let late = registry.add_checkpoint(&checkpoint(&home, &task, "late", None)).await;
    assert_eq!(late.unwrap_err().code(), Code::TaskNotFound);
}

// Whoever looked at it before does not know that it was pinned since.
#[tokio::test]
async fn one_that_is_held_goes_only_when_somebody_asks_or_its_files_are_gone() {
    let home = Home::new();
    let registry = home.open().await;
    let task = home.task("t");
    registry.create(&task).await.unwrap();
    for (cause, goes) in [
        (Forgotten::Retention, false),
        (Forgotten::Size, false),
        (Forgotten::Asked, true),
        (Forgotten::Lost, true),
    ] {
        let named = checkpoint(&home, &task, &format!("named-{}", cause.as_str()), Some("n"));
        let mut pinned = checkpoint(&home, &task, &format!("pinned-{}", cause.as_str()), None);
        pinned.pinned = true;
        let other = checkpoint(&home, &task, &format!("other-{}", cause.as_str()), None);
        for (one, goes) in [(named, goes), (pinned, goes), (other, true)] {
            registry.add_checkpoint(&one).await.unwrap();
            let gone = registry.forget_checkpoint(&task.id, &one.id, cause).await.unwrap();
            assert_eq!(gone, goes, "{}", one.id);
            registry.forget_checkpoint(&task.id, &one.id, Forgotten::Asked).await.unwrap();
        }
    }
}

#[tokio::test]
async fn forks_are_known_until_somebody_works_in_them() {
    let home = Home::new();
    let registry = home.open().await;
    let (plain, mut fork) = (home.task("t"), home.task("u"));
    let from = ForkedFrom { task: plain.id.clone(), checkpoint: "cp".parse().unwrap() };
    fork.sandbox.forked_from = Some(from.clone());
    let task = plain.clone();
    registry.bulk_insert(&[plain, fork.clone()]).await.unwrap();
    assert_eq!(registry.forks_to_come().await.unwrap(), [(fork.id.clone(), from)]);
    let made_from = checkpoint(&home, &task, "cp", None);
    registry.add_checkpoint(&made_from).await.unwrap();
    let forget = async |cause| registry.forget_checkpoint(&task.id, &made_from.id, cause).await;
    assert!(!forget(Forgotten::Retention).await.unwrap(), "it is awaited");
    let running = fork.attach("an-agent".parse().unwrap(), home.clock.now()).unwrap();
    registry.commit(&running).await.unwrap();
    assert!(registry.forks_to_come().await.unwrap().is_empty());
    assert!(forget(Forgotten::Retention).await.unwrap());
}
