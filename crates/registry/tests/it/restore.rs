//! Putting a backup in the place of the database.

use std::path::{Path, PathBuf};

use armor_core::error::{Code, Diagnostic};
use armor_core::event::{Event, EventLog, Seq};
use armor_core::id::RandomIds;
use armor_core::time::Clock;
use armor_registry::{Backup, Backups, Registry, RegistryError, Restored};

use crate::support::Home;

fn backups(home: &Home) -> Backups {
    Backups::new(home.folder().join("backups"), 9)
}

async fn restore(home: &Home, backup: &Path) -> Result<Restored, RegistryError> {
    let ids = RandomIds::default();
    backups(home).restore(backup, &home.path(), home.clock.as_ref(), &ids).await
}

/// A home with the task `old`, a backup, and the task `new` behind it.
async fn home_with_backup() -> (Home, Backup) {
    let home = Home::new();
    let registry = home.open().await;
    registry.create(&home.task("old")).await.unwrap();
    let backup = backups(&home).create(&registry, home.clock.now()).await.unwrap();
    registry.create(&home.task("new")).await.unwrap();
    registry.close().await;
    (home, backup)
}

fn file(home: &Home, name: &str, bytes: &[u8]) -> PathBuf {
    let path = home.folder().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

async fn names(home: &Home) -> Vec<String> {
    let registry = home.open().await;
    let found = registry.recent(9).await.unwrap();
    registry.close().await;
    found.into_iter().map(|task| task.name.to_string()).collect()
}

/// The names of the files beside the database that belong to a restoration.
fn files(home: &Home) -> Vec<String> {
    let names = std::fs::read_dir(home.folder()).unwrap().map(|e| e.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let mut names: Vec<_> =
        names.filter(|n| n.contains("-replaced-") || n.contains("restoring")).collect();
    names.sort();
    names
}

// R14
#[tokio::test]
async fn a_backup_takes_the_place_of_the_database_which_is_kept() {
    let (home, backup) = home_with_backup().await;
    // By its name in the folder of the backups.
    let restored = restore(&home, Path::new(backup.path.file_name().unwrap())).await.unwrap();
    let replaced = restored.replaced.unwrap();
    assert_eq!(files(&home), [replaced.file_name().unwrap().to_str().unwrap()]);

    let registry = home.open().await;
    assert_eq!(registry.check().await.unwrap(), Vec::<String>::new());
    let log: Result<Vec<Event>, _> =
        registry.read_after(Seq::START, 9, None).await.unwrap().into_iter().collect();
    let log = log.unwrap();
    // Before it came: created, created, backupCreated. No number is given twice.
    let places: Vec<_> = log.iter().map(|event| (event.seq.0, event.name())).collect();
    assert_eq!(places, [(1, "task:created"), (4, "system:backupRestored")]);
    assert_eq!(log[1].payload.data()["path"], backup.path.display().to_string());
    assert_eq!(log[1].payload.data()["replaced"], replaced.display().to_string());
    registry.close().await;
    drop(registry);
    assert_eq!(names(&home).await, ["old"]);

    // What was replaced is a whole database.
    restore(&home, &replaced).await.unwrap();
    assert_eq!(names(&home).await, ["new", "old"]);
}

#[tokio::test]
async fn a_database_that_somebody_has_open_is_not_replaced() {
    let (home, backup) = home_with_backup().await;
    let (one, two) = (home.open().await, home.open().await);
    one.close().await;
    drop(one);
    let error = restore(&home, &backup.path).await.unwrap_err();
    assert_eq!(error.code(), Code::DatabaseInUse);
    two.close().await;
    drop(two);
    restore(&home, &backup.path).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_lost_or_damaged_is_restored() {
    let (home, backup) = home_with_backup().await;
    std::fs::remove_file(home.path()).unwrap();
    assert_eq!(
        restore(&home, &file(&home, "empty.db", b"")).await.unwrap_err().code(),
        Code::DatabaseCorrupt
    );
    assert_eq!(restore(&home, &backup.path).await.unwrap().replaced, None);
    assert_eq!(names(&home).await, ["old"]);
    // It is not known which numbers of events were given.
    let registry = home.open().await;
    assert!(registry.head().await.unwrap() > Seq(1_000_000));
    registry.close().await;
    drop(registry);
    std::fs::remove_file(home.path()).unwrap();
    // Somebody opens the home before it is restored.
    assert_eq!(names(&home).await, Vec::<String>::new());
    restore(&home, &backup.path).await.unwrap();
    assert_eq!(names(&home).await, ["old"]);

    std::fs::write(home.path(), "this is a letter, not a database. ".repeat(300)).unwrap();
    let replaced = restore(&home, &backup.path).await.unwrap().replaced.unwrap();
    assert!(std::fs::read_to_string(replaced).unwrap().starts_with("this is a letter"));
    assert_eq!(names(&home).await, ["old"]);
}

#[tokio::test]
async fn a_backup_that_is_no_good_is_refused_and_nothing_changes() {
    let (home, backup) = home_with_backup().await;
    let whole = std::fs::read(&backup.path).unwrap();
    let file = |name: &str, bytes: &[u8]| file(&home, name, bytes);
    let mut damaged = whole.clone();
    // Pages of tables and indexes, as a failing disk would leave them.
    for page in damaged.chunks_mut(4096).skip(8) {
        page[..64].fill(0xff);
    }
    let with_log = file("with-log.db", &whole);
    file("with-log.db-wal", b"what was written last");
    let (other, others) = home_with_backup().await;
    let cases = [
        (file("letter.db", b"a letter"), Code::DatabaseCorrupt),
        (file("empty.db", b""), Code::DatabaseCorrupt),
        (file("torn.db", &whole[..whole.len() / 2]), Code::DatabaseCorrupt),
        (file("damaged.db", &damaged), Code::DatabaseCorrupt),
        (home.folder().join("nowhere.db"), Code::DatabaseIo),
        (home.folder().to_owned(), Code::DatabaseIo),
        (with_log, Code::DatabaseIo),
        (others.path, Code::BackupOtherHome),
    ];
    for (backup, code) in cases {
        let error = restore(&home, &backup).await.unwrap_err();
        assert_eq!(error.code(), code, "{}: {error:?}", backup.display());
        assert_eq!(files(&home), Vec::<String>::new(), "{}", backup.display());
        assert_eq!(names(&home).await, ["new", "old"], "{}", backup.display());
    }
    drop(other);
}

// R96: what a kill in the midst leaves.
#[tokio::test]
async fn what_a_killed_restoration_left_goes_with_the_next_one() {
    let (home, backup) = home_with_backup().await;
    std::fs::write(home.folder().join("armor.restoring"), "half").unwrap();
    // The second name of the database, which was about to be replaced.
    let second = home.folder().join("armor-replaced-2027-01-15T08-00-00.000000Z.db");
    std::fs::hard_link(home.path(), &second).unwrap();
    assert_eq!(names(&home).await, ["new", "old"]);
    let restored = restore(&home, &backup.path).await.unwrap();
    let replaced = restored.replaced.unwrap();
    assert_eq!(files(&home), [replaced.file_name().unwrap().to_str().unwrap()]);
    assert_eq!(names(&home).await, ["old"]);
}
