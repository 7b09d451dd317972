//! Backups, as people take and restore them.

use std::process::Stdio;
use std::time::Duration;

use armor_testkit::{Home, require_engine};
use serde_json::{Value, json};

use crate::support::{armor, json, lines, refused};

#[tokio::test]
async fn engine_the_database_is_backed_up_on_demand_and_so_many_are_kept() {
    require_engine!();
    let home = Home::new().with("ARMOR_BACKUP_KEEP", "2");
    assert_eq!(armor(&home, &["backup", "list"]).out, "No backups.\n");
    json(&home, &["create-task", "kept"]);
    let taken: Vec<_> = (0..3).map(|_| json(&home, &["backup", "create"])).collect();
    let listed = json(&home, &["backup", "list"])["backups"].clone();
    assert_eq!(listed, json!([taken[2], taken[1]]));
    let events = lines(&home, &["events", "--match", "system:*"]);
    assert_eq!(events.len(), 3);
    assert_eq!(events[2]["data"]["path"], taken[2]["path"]);
}

/// The tasks' names and states, the newest first.
fn tasks(home: &Home) -> Value {
    let listed = json(home, &["list-tasks"]);
    let tasks = listed["tasks"].as_array().unwrap();
    tasks.iter().map(|task| json!([task["name"], task["status"]])).collect()
}

// R14: the layers beside the database follow it.
#[tokio::test]
async fn engine_a_restored_database_is_followed_by_the_files_of_its_tasks() {
    require_engine!();
    let home = Home::new();
    let old = json(&home, &["create-task", "old"])["task_id"].as_str().unwrap().to_owned();
    let backup = json(&home, &["backup", "create"])["path"].as_str().unwrap().to_owned();
    json(&home, &["create-task", "new"]);
    json(&home, &["stop-task", "old"]);
    assert_eq!(tasks(&home), json!([["new", "pending"], ["old", "cancelled"]]));

    assert_eq!(refused(&home, &["backup", "restore", &backup], 2), "argument.invalid");
    let follower = home
        .command(env!("CARGO_BIN_EXE_armor"))
        .args(["--json", "events", "--last", "1", "--follow"])
        .stdout(Stdio::piped())
        .spawn();
    let mut follower = follower.unwrap();
    // Its first line says that it has the home open.
    let mut first = String::new();
    let mut out = std::io::BufReader::new(follower.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut first).unwrap();
    let restore = ["backup", "restore", &backup, "--force"];
    assert_eq!(refused(&home, &restore, 4), "database.in_use");
    follower.kill().unwrap();
    follower.wait().unwrap();

    let restored = json(&home, &restore);
    assert!(std::path::Path::new(restored["replaced"].as_str().unwrap()).exists());
    assert_eq!(tasks(&home), json!([["old", "pending"]]));
    let folder = home.path().join("tasks").join(&old);
    let state = std::fs::read_to_string(folder.join("state.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["state"]["status"], "pending");
    let logs = |name: &str| std::fs::read_to_string(folder.join("logs").join(name)).unwrap();
    assert_eq!(logs("audit.jsonl").lines().count(), lines(&home, &["events", "old"]).len());
    let kept: Vec<_> = std::fs::read_dir(folder.join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("audit-before-"))
        .collect();
    assert_eq!(kept.len(), 1);
    assert!(logs(&kept[0]).contains("task:cancelled"));
    let doctor = armor(&home, &["doctor"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
}

// R96: kill -9 at any point leaves the old database or the new one.
#[tokio::test]
async fn engine_a_restoration_that_is_killed_leaves_the_old_database_or_the_new_one() {
    require_engine!();
    let home = Home::new();
    json(&home, &["create-task", "old"]);
    let backup = json(&home, &["backup", "create"])["path"].as_str().unwrap().to_owned();
    json(&home, &["create-task", "new"]);
    let (old, new) = (json!([["old", "pending"]]), json!([["new", "pending"], ["old", "pending"]]));
    let mut seen = Vec::new();
    for round in 0..30 {
        let before = tasks(&home);
        let mut restoring = home
            .command(env!("CARGO_BIN_EXE_armor"))
            .args(["backup", "restore", &backup, "--force"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // The moment of the kill is what is tested, not something that is waited for.
        std::thread::sleep(Duration::from_millis(3 * round));
        restoring.kill().unwrap();
        restoring.wait().unwrap();
        let after = tasks(&home);
        assert!(after == before || after == old, "{before} became {after}");
        seen.push(after == old);
        if after == old {
            json(&home, &["create-task", "new"]);
            assert_eq!(tasks(&home), new);
        }
    }
    assert!(seen.contains(&true) && seen.contains(&false), "{seen:?}");
    let doctor = armor(&home, &["doctor"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
}
