//! Databases of earlier schemas, kept as they were written by the programs of their time.

use armor_core::event::{Event, EventLog, Seq};
use armor_core::task::TaskStatus;
use armor_registry::{EventQuery, Registry};
use sqlx::{Connection, SqliteConnection};

use crate::support::{Home, agent};

/// Those that a program was ever released with.
const EARLIER: &[(&str, &str)] = &[
    ("0001", include_str!("../fixtures/schema_0001.sql")),
    ("0004", include_str!("../fixtures/schema_0004.sql")),
];

// R10: versioned migrations keep existing data.
#[tokio::test]
async fn a_database_of_each_earlier_schema_opens_with_its_data_and_goes_on() {
    for (version, dump) in EARLIER {
        let home = Home::new();
        let url = format!("sqlite://{}?mode=rwc", home.path().display());
        let mut old = SqliteConnection::connect(&url).await.unwrap();
        // The dump makes its tables in an order that foreign keys would not take.
        sqlx::raw_sql("PRAGMA foreign_keys = OFF").execute(&mut old).await.unwrap();
        sqlx::raw_sql(*dump).execute(&mut old).await.unwrap();
        old.close().await.unwrap();

        let registry = home.open().await;
        assert_eq!(registry.home_id().as_str(), "01m7z26hdhvf7jh7tzt71hs7yr", "{version}");
        assert_eq!(registry.check().await.unwrap(), Vec::<String>::new(), "{version}");
        let done = registry.resolve("fix the parser").await.unwrap();
        assert_eq!((done.status, done.version), (TaskStatus::Completed, 4));
        assert_eq!(done.metadata.as_map()["ticket"], "A-1");
        assert_eq!(done.repository.unwrap().branch, format!("task/{}", done.id));
        let executions = registry.executions(&done.id, 10).await.unwrap();
        assert_eq!(executions.len(), 1, "what refers to a task is kept");
        let events = registry.events(&done.id, EventQuery::default()).await.unwrap();
        assert!(events.iter().map(Event::task_seq).eq(1..=9));
        assert_eq!(registry.read_after(Seq::START, 100, None).await.unwrap().len(), 12);
        assert_eq!(registry.cursor("audit").await.unwrap(), Seq(12));
        let found = registry.find("unicode", 10).await.unwrap();
        assert_eq!(found.len(), 1, "old tasks are found by words");

        let pending = &found[0];
        let now = pending.created_at;
        registry.mark_running(&pending.id, agent("a"), now).await.unwrap().unwrap();
        assert_eq!(registry.head().await.unwrap(), Seq(14));
    }
}
