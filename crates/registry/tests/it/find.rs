//! Finding tasks by words (R11).

use armor_core::error::{Code, Diagnostic};
use armor_core::event::TaskEvent;
use armor_core::task::{Metadata, Task, TaskStatus};
use armor_core::time::Clock;
use armor_registry::{Registry, TaskQuery};
use serde_json::json;

use crate::support::{Home, agent};

fn asking(home: &Home, name: &str, request: &str, metadata: serde_json::Value) -> Task {
    let mut task = home.task(name);
    task.request = Some(request.parse().unwrap());
    task.metadata = Metadata::try_from(metadata).unwrap();
    task
}

async fn names(registry: &impl Registry, text: &str) -> Vec<String> {
    let found = registry.find(text, 10).await.unwrap();
    found.into_iter().map(|task| task.name.to_string()).collect()
}

#[tokio::test]
async fn tasks_are_found_by_words_of_name_request_and_metadata_the_newest_first() {
    let home = Home::new();
    let registry = home.open().await;
    let one = asking(&home, "fix the parser", "It loses commas.", json!({"ticket": "A-17"}));
    let two = asking(&home, "Write docs", "Describe the parser\nin Ünïcode", json!({}));
    let three = asking(&home, "upgrade", "all of it", json!({"deep": [{"er": "parser"}]}));
    registry.bulk_insert(&[one.clone(), two.clone(), three.clone()]).await.unwrap();

    assert_eq!(names(&registry, "parser").await, ["upgrade", "Write docs", "fix the parser"]);
    assert_eq!(names(&registry, "PARSER fix").await, ["fix the parser"]);
    assert_eq!(names(&registry, "unicode").await, ["Write docs"]);
    assert_eq!(names(&registry, "A-17").await, ["fix the parser"]);
    assert_eq!(names(&registry, "com*").await, ["fix the parser"]);
    assert_eq!(names(&registry, "com").await, Vec::<String>::new());

    registry.mark_running(&one.id, agent("a"), home.clock.now()).await.unwrap().unwrap();
    let running = TaskQuery {
        status: Some(TaskStatus::Running),
        text: Some("parser".to_owned()),
        ..TaskQuery::default()
    };
    let page = registry.list(&running).await.unwrap();
    assert_eq!(page.items.iter().map(|task| &task.id).collect::<Vec<_>>(), [&one.id]);
}

#[tokio::test]
async fn the_words_follow_every_change_of_a_task() {
    let home = Home::new();
    let registry = home.open().await;
    let task = asking(&home, "old name", "old request", json!({"k": "aged"}));
    registry.create(&task).await.unwrap();
    let mut change = task.attach(agent("a"), home.clock.now()).unwrap();
    change.after.name = "new name".parse().unwrap();
    change.after.request = Some("fresh request".parse().unwrap());
    registry.commit(&change).await.unwrap();
    assert_eq!(names(&registry, "fresh").await, ["new name"]);
    assert_eq!(names(&registry, "old").await, Vec::<String>::new());
    assert_eq!(names(&registry, "aged").await, ["new name"]);
    let deleted = TaskEvent::Deleted { name: "new name".to_owned() };
    registry.delete(&task.id, 2, deleted.into()).await.unwrap();
    assert_eq!(names(&registry, "name").await, Vec::<String>::new());
    assert_eq!(registry.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_in_a_search_is_taken_for_an_operator() {
    let home = Home::new();
    let registry = home.open().await;
    registry.create(&home.task("near or not \"and\"")).await.unwrap();
    for text in
        ["NEAR", "or", "NOT", "\"and\"", "and\"", "(near)", "near -or", "^near", "name:near"]
    {
        let found = registry.find(text, 10).await;
        assert!(found.is_ok(), "{text}: {found:?}");
    }
    assert_eq!(names(&registry, "NOT OR").await.len(), 1);
    for text in ["", "  ", "*", "\"", "-- ;"] {
        assert_eq!(registry.find(text, 10).await.unwrap_err().code(), Code::ArgumentInvalid);
    }
}

#[tokio::test]
async fn what_is_found_comes_in_pages_and_a_cursor_goes_with_its_list_alone() {
    let home = Home::new();
    let registry = home.open().await;
    let tasks: Vec<_> = (0..7).map(|n| home.task(&format!("page {n}"))).collect();
    registry.bulk_insert(&tasks).await.unwrap();
    let mut query = TaskQuery { text: Some("page".to_owned()), limit: 3, ..TaskQuery::default() };
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = registry.list(&query).await.unwrap();
        found.extend(page.items);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
        cursor = query.after.clone();
    }
    assert!(found.iter().eq(tasks.iter().rev()));

    let other = TaskQuery { after: cursor, limit: 3, ..TaskQuery::default() };
    let error = registry.list(&other).await.unwrap_err();
    assert_eq!(error.code(), Code::CursorInvalid);
    assert!(error.next_step().unwrap().contains("first page"));
}

// FTS5 remembers where its segments are; others' writes merge them away.
#[tokio::test]
async fn the_check_takes_nothing_for_damage_that_others_wrote_since_a_search() {
    let home = Home::new();
    let (ours, theirs) = (home.open().await, home.open().await);
    for n in 0..60 {
        theirs.create(&home.task(&format!("name {n}"))).await.unwrap();
        if n % 7 == 0 {
            assert_eq!(ours.find(&n.to_string(), 1).await.unwrap().len(), 1);
        }
    }
    assert_eq!(ours.check().await.unwrap(), Vec::<String>::new());
}
