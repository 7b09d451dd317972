//! Work in the background, as people see it.

use std::time::{Duration, Instant};

use armor_testkit::{Home, require_engine};
use serde_json::{Value, json};

use crate::support::{armor, json, refused};

fn jobs(home: &Home) -> Vec<Value> {
    json(home, &["jobs", "list"])["jobs"].as_array().unwrap().clone()
}

// R33: listed, inspected, retried, purged.
#[tokio::test]
async fn engine_a_job_that_waits_for_the_engine_is_shown_and_one_that_was_given_up_can_be_retried()
{
    require_engine!();
    let home = Home::new();
    assert_eq!(armor(&home, &["jobs", "list"]).out, "No jobs.\n");
    let task = json(&home, &["create-task", "one"])["task_id"].clone();
    let home = home.with("ARMOR_ENGINE_HOST", "unix:///nowhere/docker.sock");
    json(&home, &["stop-task", "one"]);

    let listed = jobs(&home);
    assert_eq!((&listed[0]["key"], &listed[0]["state"]), (&task, &json!("waiting")));
    let shown = json(&home, &["jobs", "show", "1"]);
    assert_eq!(shown["kind"], "task.cleanUp");
    assert!(shown["error"].as_str().unwrap().contains("/nowhere/docker.sock"), "{shown}");
    assert_eq!(refused(&home, &["jobs", "purge", "1"], 4), "job.state");
    assert_eq!(refused(&home, &["jobs", "show", "9"], 3), "job.not_found");
    assert_eq!(refused(&home, &["jobs", "retry", "x"], 2), "id.invalid");
    assert_eq!(refused(&home, &["jobs", "purge"], 2), "argument.missing");
    assert_eq!(refused(&home, &["jobs", "purge", "1", "--all"], 2), "argument.invalid");

    home.give_job_up(1).await;
    assert_eq!(json(&home, &["jobs", "list", "--dead"])["jobs"][0]["job"], 1);
    let doctor = armor(&home, &["doctor"]).out;
    assert!(doctor.contains("0 wait, 0 run, 1 given up"), "{doctor}");
    assert_eq!(json(&home, &["jobs", "retry", "1"])["state"], "waiting");
    home.give_job_up(1).await;
    assert_eq!(json(&home, &["jobs", "purge", "--all"])["purged"], json!([1]));
    assert_eq!(jobs(&home), Vec::<Value>::new());
}

// R59, R33: what could not be removed while the engine was away goes when it is back.
#[tokio::test]
async fn engine_what_a_task_leaves_is_removed_when_the_engine_is_back() {
    require_engine!();
    let home = Home::new();
    json(&home, &["create-task", "one"]);
    json(&home, &["exec", "one", "--", "true"]);
    json(&home, &["stop-task", "one", "--set", "engine.host=unix:///nowhere/docker.sock"]);
    // Every program that opens the home takes up what is due, and finishes it before it ends.
    let deadline = Instant::now() + Duration::from_mins(1);
    while !jobs(&home).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", jobs(&home));
    }
    let doctor = armor(&home, &["doctor"]).out;
    assert!(doctor.contains("orphans: none"), "{doctor}");
}
