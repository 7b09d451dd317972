//! The event log from outside: shown, followed, and what its consumers gave up on.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use armor_testkit::{Home, require_engine};
use serde_json::{Value, json};

use crate::support::{armor, json, lines, refused};

const LONG: Duration = Duration::from_mins(1);

// R35: one process shows what others do, as they do it.
#[tokio::test]
async fn engine_events_of_other_processes_are_followed_until_ctrl_c() {
    require_engine!();
    let home = Home::new();
    json(&home, &["create-task", "before"]);
    let mut command = home.command(env!("CARGO_BIN_EXE_armor"));
    command.args(["--json", "events", "--follow", "--last", "1", "--match", "task:*"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().unwrap();
    let (sender, receiver) = mpsc::channel::<Value>();
    let stdout = BufReader::new(follower.stdout.take().unwrap());
    let reading = std::thread::spawn(move || {
        for line in stdout.lines() {
            // The test may have ended.
            let _read = sender.send(serde_json::from_str(&line.unwrap()).unwrap());
        }
    });
    assert_eq!(receiver.recv_timeout(LONG).unwrap()["data"]["name"], "before");
    for name in ["one", "two", "three"] {
        json(&home, &["create-task", name]);
        let event = receiver.recv_timeout(LONG).unwrap();
        assert_eq!(
            (&event["event"], &event["data"]["name"]),
            (&json!("task:created"), &json!(name))
        );
    }
    let pid = follower.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(follower.wait().unwrap().success());
    reading.join().unwrap();
}

// R31
#[tokio::test]
async fn engine_events_are_shown_from_a_place_a_moment_or_the_last_ones_on() {
    require_engine!();
    let home = Home::new();
    for name in ["one", "two", "three"] {
        json(&home, &["create-task", name]);
    }
    let all = lines(&home, &["events"]);
    let seqs: Vec<_> = all.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(lines(&home, &["events", "--last", "2"]), all[1..]);
    assert_eq!(lines(&home, &["events", "--after", "1"]), all[1..]);
    assert_eq!(lines(&home, &["events", "--since", all[2]["at"].as_str().unwrap()]), all[2..]);
    assert_eq!(lines(&home, &["events", "two"]), all[1..2]);
    assert_eq!(lines(&home, &["events", "--match", "*:failed"]), Vec::<Value>::new());
    let text = armor(&home, &["events", "--last", "1"]).out;
    assert!(text.contains("task:created") && text.contains("three"), "{text}");
    // What a terminal would obey is shown, not done; in JSON it is as it was.
    json(&home, &["create-task", "odd", "--request", "a\u{9b}31m\u{1b}[0m"]);
    let text = armor(&home, &["events", "--last", "1"]).out;
    assert!(!text.contains(['\u{9b}', '\u{1b}']), "{text:?}");
    assert_eq!(lines(&home, &["events", "odd"])[0]["data"]["request"], "a\u{9b}31m\u{1b}[0m");

    assert_eq!(refused(&home, &["events", "--match", "t*:x"], 2), "argument.invalid");
    assert_eq!(refused(&home, &["events", "--since", "yesterday"], 2), "argument.invalid");
    assert_eq!(refused(&home, &["events", "--last", "1", "--after", "1"], 2), "argument.invalid");
}

// R33: what could not be dealt with is listed, inspected, retried and purged.
#[tokio::test]
async fn engine_what_consumers_gave_up_on_is_shown_and_can_be_forgotten() {
    require_engine!();
    let home = Home::new();
    for name in ["one", "two"] {
        json(&home, &["create-task", name]);
    }
    assert_eq!(armor(&home, &["dlq", "list"]).out, "No dead letters.\n");
    home.damage_event(1).await;
    home.set_cursor("audit", 0).await;
    home.set_cursor("state.json", 0).await;

    // Whatever opens the home brings its consumers to the end of the log.
    json(&home, &["create-task", "three"]);
    let letters = json(&home, &["dlq", "list"])["dead_letters"].clone();
    let names: Vec<_> = letters.as_array().unwrap().iter().map(|l| l["letter"].clone()).collect();
    assert_eq!(names.len(), 2, "{letters}");
    assert!(names.contains(&json!("audit/1")) && names.contains(&json!("state.json/1")));
    let shown = json(&home, &["dlq", "show", "audit/1"]);
    assert!(shown["dead_letter"]["reason"].as_str().unwrap().contains("damaged"), "{shown}");
    let doctor = armor(&home, &["doctor"]).out;
    assert!(doctor.contains("2 events that a consumer gave up on"), "{doctor}");

    assert_eq!(refused(&home, &["dlq", "retry", "audit/1"], 1), "dlq.failed");
    assert_eq!(refused(&home, &["dlq", "retry", "audit/9"], 3), "dlq.not_found");
    assert_eq!(refused(&home, &["dlq", "show", "audit"], 2), "id.invalid");
    assert_eq!(refused(&home, &["dlq", "purge"], 2), "argument.missing");
    assert_eq!(refused(&home, &["dlq", "purge", "audit/1", "--all"], 2), "argument.invalid");
    assert_eq!(json(&home, &["dlq", "purge", "audit/1"])["purged"], json!(["audit/1"]));
    assert_eq!(json(&home, &["dlq", "purge", "--all"])["purged"], json!(["state.json/1"]));
    assert_eq!(json(&home, &["dlq", "list"])["dead_letters"], json!([]));
}
