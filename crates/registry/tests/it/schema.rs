//! The schema, as docs/storage.md tells of it.

use std::collections::BTreeMap;

use sqlx::{Connection, SqliteConnection};

use crate::support::Home;

#[tokio::test]
async fn docs_storage_md_lists_every_table_with_its_columns() {
    let home = Home::new();
    home.open().await;
    let url = format!("sqlite://{}", home.path().display());
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT l.name, c.name FROM pragma_table_list AS l JOIN pragma_table_info(l.name) AS c
         WHERE l.schema = 'main' AND l.type <> 'shadow'
             AND l.name NOT GLOB 'sqlite_*' AND l.name NOT GLOB '_sqlx_*'
         ORDER BY l.name, c.cid",
    )
    .fetch_all(&mut raw)
    .await
    .unwrap();
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in columns {
        expected.entry(table).or_default().push(format!("`{column}`"));
    }
    let documented: BTreeMap<String, Vec<String>> = include_str!("../../../../docs/storage.md")
        .split("## The tables")
        .nth(1)
        .unwrap()
        .split("```mermaid")
        .next()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(str::trim);
            let table = cells.next().unwrap().trim_matches('`').to_owned();
            (table, cells.next().unwrap().split(", ").map(str::to_owned).collect())
        })
        .collect();
    assert_eq!(documented, expected, "docs/storage.md is not what migrations/ make");
}
