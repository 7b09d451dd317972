//! What there is of tasks that do not need it (R57): found, told of, and removed when it is due.

use std::sync::Arc;
use std::time::Duration;

use armor::task::{Outcome, Task};
use armor::{Armor, CreateTask, Due, Orphan};
use armor_core::event::{EventPayload, SystemEvent};
use armor_core::sandbox::{Belonging, NetworkMode, OrphanCause};
use armor_core::time::{Clock, ManualClock, SystemClock};
use armor_registry::RegistryError;
use armor_testkit::{Home, engine, require_engine};
use bollard::models::NetworkCreateRequest;
use tokio_util::sync::CancellationToken;

use crate::support::{attach, attached, open};

const DAY: Duration = Duration::from_hours(24);

async fn open_at(home: &Home, clock: &Arc<ManualClock>) -> Armor {
    Armor::builder(home.environment()).clock(clock.clone()).open().await.unwrap()
}

/// A task of the home that its database knows nothing of, with a sandbox and a network.
async fn unknown(home: &Home, clock: &Arc<ManualClock>) -> Task {
    let armor = open_at(home, clock).await;
    let (backups, registry) = (&armor.context().backups, armor.lifecycle().registry());
    let before = backups.create(registry, clock.now()).await.unwrap();
    let mut request = CreateTask::named("newer than the backup".parse().unwrap());
    request.workspace = Some(home.repository().path().to_owned());
    request.network = Some(NetworkMode::Internal);
    let task = armor.lifecycle().create(request).await.unwrap();
    attach(&armor, &task).await.unwrap();
    armor.close().await;
    let closed = Armor::builder(home.environment()).closed().unwrap();
    let database = closed.configuration.settings().database.path;
    let restore = || {
        let (clock, ids) = (closed.clock.as_ref(), closed.ids.as_ref());
        closed.backups.restore(&before.path, &database, clock, ids)
    };
    // What runs in the background lets go of the home a moment after it is closed.
    let mut tries = 0;
    while let Err(error) = restore().await {
        assert!(matches!(error, RegistryError::InUse { .. }) && tries < 1_000, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        tries += 1;
    }
    task
}

const NAMES: [&str; 2] = ["system:orphanFound", "system:orphanRemoved"];

/// What the log says of orphans: the event's name, the task, what there was.
async fn told(armor: &Armor) -> Vec<(&'static str, String, Vec<Belonging>)> {
    let events = armor.lifecycle().registry().announcements(&NAMES).await.unwrap();
    let orphans = events.into_iter().filter_map(|event| match event.payload {
        EventPayload::System(
            SystemEvent::OrphanFound { ref task, ref belongings, .. }
            | SystemEvent::OrphanRemoved { ref task, ref belongings, .. },
        ) => Some((event.name(), task.to_string(), belongings.clone())),
        _ => None,
    });
    orphans.collect()
}

#[tokio::test]
async fn engine_what_an_unknown_task_has_stays_for_a_day_and_its_files_until_a_person_says_so() {
    require_engine!();
    let home = Home::new();
    let clock = Arc::new(ManualClock::starting_at(SystemClock.now()));
    let task = unknown(&home, &clock).await;
    let armor = open_at(&home, &clock).await;
    let missing = armor.lifecycle().registry().get(&task.id).await.unwrap_err();
    assert!(matches!(missing, RegistryError::NotFound { .. }));
    let running = vec![Belonging::Sandbox, Belonging::Network, Belonging::Socket];
    let orphan = |belongings: &[Belonging], due| Orphan {
        task: task.id.clone(),
        cause: OrphanCause::Unknown,
        belongings: belongings.to_owned(),
        due,
    };
    let of_runtime = orphan(&running, Due::From(clock.now().plus(DAY)));
    let files = orphan(&[Belonging::Files], Due::ByHand);

    for _ in 0..2 {
        let swept = armor.lifecycle().sweep().await.unwrap();
        assert_eq!(swept.removed, []);
        assert_eq!(swept.left, [of_runtime.clone(), files.clone()]);
        // It is the moment of the first that counts.
        clock.advance(Duration::from_hours(1));
    }
    let found = |belongings: &[Belonging]| {
        ("system:orphanFound", task.id.to_string(), belongings.to_owned())
    };
    assert_eq!(told(&armor).await, [found(&running), found(&[Belonging::Files])]);
    armor.close().await;

    clock.advance(DAY);
    let armor = open_at(&home, &clock).await;
    let swept = armor.lifecycle().sweep().await.unwrap();
    assert_eq!(swept.removed, [of_runtime]);
    assert_eq!(swept.left, std::slice::from_ref(&files));
    assert_eq!(armor.lifecycle().runtime().find(&task.id).await.unwrap(), None);
    assert!(armor.lifecycle().folder(&task.id).workspace().join("one.txt").exists());
    let removed = told(&armor).await.pop().unwrap();
    assert_eq!(removed, ("system:orphanRemoved", task.id.to_string(), running));

    let swept = armor.lifecycle().prune(vec![files], Vec::new()).await;
    assert!(swept.freed.files > 0);
    assert_eq!(armor.lifecycle().orphans().await.unwrap(), []);
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}

#[tokio::test]
async fn engine_what_a_killed_process_left_of_an_ended_task_goes_with_the_next_sweep() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    armor
        .lifecycle()
        .complete(task.id.as_str(), Outcome { message: None, result: None })
        .await
        .unwrap();
    let labels = [
        (armor_docker::HOME_LABEL, home.id().await.unwrap()),
        (armor_docker::TASK_LABEL, task.id.to_string()),
    ];
    // As after a kill between the network and the container.
    let network = NetworkCreateRequest {
        name: format!("left-of-{}", task.id),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
        ..NetworkCreateRequest::default()
    };
    engine::docker().create_network(network).await.unwrap();
    let left = Orphan {
        task: task.id.clone(),
        cause: OrphanCause::Ended,
        belongings: vec![Belonging::Network],
        due: Due::Now,
    };
    assert_eq!(armor.lifecycle().orphans().await.unwrap(), std::slice::from_ref(&left));
    // The process that keeps the house does it by itself.
    let stop = CancellationToken::new();
    let (lifecycle, until) = (armor.lifecycle().clone(), stop.clone());
    let keeping = tokio::spawn(async move { lifecycle.keep_house(until).await });
    let mut events = armor.lifecycle().bus().subscribe("system:orphanRemoved".parse().unwrap());
    tokio::time::timeout(Duration::from_mins(2), events.next()).await.unwrap().unwrap().unwrap();
    stop.cancel();
    keeping.await.unwrap();
    assert_eq!(armor.lifecycle().orphans().await.unwrap(), []);
    assert!(armor.lifecycle().folder(&task.id).exists());
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}

#[tokio::test]
async fn engine_neither_live_tasks_nor_the_pool_nor_other_homes_have_orphans() {
    require_engine!();
    let home = Home::new().with("ARMOR_POOL_SIZE", "1");
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let stop = CancellationToken::new();
    let (lifecycle, until) = (armor.lifecycle().clone(), stop.clone());
    let filling = tokio::spawn(async move { lifecycle.keep_pool(until).await });
    let ready = home.path().join("pool/ready");
    let is_filled = || std::fs::read_dir(&ready).is_ok_and(|mut entries| entries.next().is_some());
    let waiting = async {
        while !is_filled() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), waiting).await.unwrap();
    assert_eq!(armor.lifecycle().orphans().await.unwrap(), []);
    let other = Home::new();
    let stranger = open(&other).await;
    assert_eq!(stranger.lifecycle().orphans().await.unwrap(), []);
    stranger.close().await;
    stop.cancel();
    filling.await.unwrap();
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}
