//! Opening a database: new, again, of a newer program, damaged.

use armor_core::config::Durability;
use armor_core::error::{Code, Diagnostic};
use armor_registry::{Registry, SqliteRegistry};
use sqlx::{Connection, SqliteConnection};

use crate::support::Home;

#[tokio::test]
async fn a_home_keeps_its_id_and_its_tasks() {
    let home = Home::new();
    let registry = home.open().await;
    let task = home.task("kept");
    registry.create(&task).await.unwrap();
    let id = registry.home_id().clone();
    registry.close().await;
    let registry = home.open().await;
    assert_eq!(*registry.home_id(), id);
    assert_eq!(registry.get(&task.id).await.unwrap(), task);
    assert_eq!(registry.check().await.unwrap(), Vec::<String>::new());
}

// R10: a downgrade is refused, and nothing is changed.
#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let home = Home::new();
    home.open().await.close().await;
    let url = format!("sqlite://{}", home.path().display());
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&mut raw)
    .await
    .unwrap();
    let error = home.try_open().await.unwrap_err();
    assert_eq!(error.code(), Code::DatabaseTooNew, "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let home = Home::new();
    let text = "this is a letter, not a database. ".repeat(300);
    std::fs::write(home.path(), &text).unwrap();
    let error = home.try_open().await.unwrap_err();
    assert_eq!(error.code(), Code::DatabaseCorrupt, "{error:?}");
    assert_eq!(std::fs::read_to_string(home.path()).unwrap(), text);
}

#[tokio::test]
async fn opening_a_new_home_many_times_at_once_makes_one() {
    let home = Home::new();
    let opened = futures_join(&home, 8).await;
    let first = opened[0].home_id();
    assert!(opened.iter().all(|registry| registry.home_id() == first));
}

async fn futures_join(home: &Home, count: usize) -> Vec<SqliteRegistry> {
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (path, clock) = (home.path(), home.clock.clone());
        let ids = std::sync::Arc::new(armor_core::id::RandomIds::default());
        opening.spawn(async move {
            SqliteRegistry::open(&path, Durability::Full, clock, ids).await.unwrap()
        });
    }
    opening.join_all().await
}
