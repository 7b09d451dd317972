//! A task's history by its own files, and what was decided about it.

use std::fs;

use armor_testkit::Home;
use serde_json::json;

use crate::support::{armor, json, refused};

// R21: read with filters, and checked offline: any line that was changed is found.
#[test]
fn a_tasks_history_is_read_and_checked_by_its_files_alone() {
    let home = Home::new();
    let task = json(&home, &["create-task", "a task"])["task_id"].as_str().unwrap().to_owned();
    json(&home, &["checkpoint", "create", "a task", "--name", "one"]);
    json(&home, &["stop-task", "a task"]);
    let shown = json(&home, &["audit", "show", "a task"]);
    let names = |shown: &serde_json::Value| -> Vec<String> {
        let events = shown["events"].as_array().unwrap();
        events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    };
    let all = names(&shown);
    assert_eq!(all[..2], ["task:created", "checkpoint:taken"]);
    let some = ["audit", "show", "a task", "--match", "checkpoint:*", "--match", "*:created"];
    let some = names(&json(&home, &[&some[..], &["--limit", "1"]].concat()));
    assert_eq!(some, ["checkpoint:taken"]);
    let at = shown["events"][1]["at"].as_str().unwrap();
    let since = names(&json(&home, &["audit", "show", "a task", "--since", at]));
    let until = names(&json(&home, &["audit", "show", "a task", "--until", at]));
    assert_eq!(until, ["task:created"]);
    assert_eq!([until, since].concat(), all);
    let errors = names(&json(&home, &["audit", "show", "a task", "--level", "error"]));
    assert!(errors.len() < all.len());
    let wrong = ["audit", "show", "a task", "--level", "loud"];
    assert_eq!(refused(&home, &wrong, 2), "argument.invalid");

    let verified = json(&home, &["audit", "verify"])["logs"].clone();
    assert_eq!(verified[0]["events"], json!(all.len()));
    let log = home.path().join("tasks").join(&task).join("logs/audit.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replacen("\"name\":\"one\"", "\"name\":\"two\"", 1)).unwrap();
    let said = armor(&home, &["audit", "verify", "a task"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("line 2"), "{said:?}");
    let shown = json(&home, &["audit", "show", "a task"]);
    assert_eq!((&shown["skipped"], &shown["findings"][0]["line"]), (&json!(1), &json!(2)));
}

// R22
#[test]
fn decisions_are_noted_and_read_by_people_and_programs() {
    let home = Home::new();
    let task = json(&home, &["create-task", "a task"])["task_id"].as_str().unwrap().to_owned();
    let add =
        ["decisions", "add", "a task", "use a map", "--why", "it is shorter\n# not a heading"];
    json(&home, &[&add[..], &["--alternative", "a list", "--by", "claude"]].concat());
    json(&home, &["decisions", "add", "a task", "no cache", "--by", "me"]);
    let all = json(&home, &["decisions", "list", "a task"])["decisions"].clone();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(all[0]["why"], "it is shorter\n# not a heading");
    assert_eq!(all[0]["alternatives"], json!(["a list"]));
    let mine = json(&home, &["decisions", "list", "a task", "--by", "me"])["decisions"].clone();
    assert_eq!(mine[0]["what"], "no cache");
    let file = home.path().join("tasks").join(&task).join("decisions.md");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("use a map") && text.contains("no cache"), "{text}");
    assert_eq!(refused(&home, &["decisions", "add", "a task", " "], 2), "argument.invalid");
}
