//! Backups (R14): whole, taken while others write, few enough.

use std::sync::Arc;
use std::time::Duration;

use armor_core::config::Durability;
use armor_core::error::{Code, Diagnostic};
use armor_core::event::EventLog;
use armor_core::id::RandomIds;
use armor_core::time::Clock;
use armor_registry::{Backups, Registry, SqliteRegistry};

use crate::support::Home;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_taken_while_others_write_is_whole_and_opens() {
    let home = Home::new();
    let registry = Arc::new(home.open().await);
    let tasks: Vec<_> = (0..400).map(|n| home.task(&format!("t{n}"))).collect();
    registry.create(&tasks[0]).await.unwrap();
    let writing = tokio::spawn({
        let (registry, tasks) = (Arc::clone(&registry), tasks.clone());
        async move {
            for task in &tasks[1..] {
                registry.create(task).await.unwrap();
            }
        }
    });
    let backups = Backups::new(home.folder().join("backups"), 10);
    let backup = backups.create(registry.as_ref(), home.clock.now()).await.unwrap();
    writing.await.unwrap();

    let ids = Arc::new(RandomIds::default());
    let copy = SqliteRegistry::open(&backup.path, Durability::Full, home.clock.clone(), ids);
    let copy = copy.await.unwrap();
    assert_eq!(copy.check().await.unwrap(), Vec::<String>::new());
    assert_eq!(copy.home_id(), registry.home_id());
    let kept = copy.statistics().await.unwrap().total;
    assert!(kept >= 1);
    assert_eq!(copy.head().await.unwrap().0, kept, "each task with its event");
    for task in &tasks[..usize::try_from(kept).unwrap()] {
        assert_eq!(copy.get(&task.id).await.unwrap(), *task);
    }
    let last =
        registry.read_before(armor_core::event::Seq(u64::MAX >> 1), 400, None).await.unwrap();
    let told = last.iter().flatten().filter(|event| event.name() == "system:backupCreated");
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn the_newest_backups_are_kept_and_other_files_left_alone() {
    let home = Home::new();
    let registry = home.open().await;
    let folder = home.folder().join("backups");
    let backups = Backups::new(folder.clone(), 3);
    assert_eq!(backups.list().unwrap(), []);
    let mut taken = Vec::new();
    for _ in 0..5 {
        home.clock.advance(Duration::from_secs(1));
        taken.push(backups.create(&registry, home.clock.now()).await.unwrap());
        std::fs::write(folder.join("armor-notes.txt"), "mine").unwrap();
    }
    taken.reverse();
    assert_eq!(backups.list().unwrap(), taken[..3]);
    assert!(folder.join("armor-notes.txt").exists());
}

// R96: a process that was killed while it backed up leaves a half made file.
#[tokio::test]
async fn what_a_killed_backup_left_goes_with_the_next_one() {
    let home = Home::new();
    let registry = home.open().await;
    let folder = home.folder().join("backups");
    std::fs::create_dir(&folder).unwrap();
    let half_made = folder.join("armor-2027-01-15T08-00-00.123456Z.new");
    std::fs::write(&half_made, "half").unwrap();
    std::fs::write(folder.join("mine.new"), "whole").unwrap();
    let backups = Backups::new(folder.clone(), 3);
    let (one, two) = tokio::join!(
        backups.create(&registry, home.clock.now()),
        backups.create(&registry, home.clock.now().plus(Duration::from_secs(1))),
    );
    assert_eq!(backups.list().unwrap(), [two.unwrap(), one.unwrap()]);
    assert!(!half_made.exists());
    assert!(folder.join("mine.new").exists(), "it is not ours");
}

#[tokio::test]
async fn a_backup_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let home = Home::new();
    let registry = home.open().await;
    let folder = home.folder().join("backups");
    std::fs::write(&folder, "a file in the way").unwrap();
    let backups = Backups::new(folder, 3);
    let error = backups.create(&registry, home.clock.now()).await.unwrap_err();
    assert_eq!(error.code(), Code::DatabaseIo);
    registry.create(&home.task("goes on")).await.unwrap();
}
