//! Checkpoints, as people take them and come back to them.

use std::fs;
use std::path::PathBuf;

use armor_testkit::{Home, Repository};
use serde_json::{Value, json};

use crate::support::{armor, json, lines, refused};

/// A task on a repository, and the folder of its working copy.
fn task(home: &Home) -> PathBuf {
    let repository = Repository::make(home.user().join("project"));
    let path = repository.path().to_str().unwrap();
    let task = json(home, &["create-task", "a task", "--workspace", path]);
    home.path().join("tasks").join(task["task_id"].as_str().unwrap()).join("workspace")
}

fn id(checkpoint: &Value) -> String {
    checkpoint["checkpoint_id"].as_str().unwrap().to_owned()
}

// R23, R24: taken, listed, shown, made again elsewhere, read back; each a fact in the log.
#[test]
fn files_are_kept_and_made_again_elsewhere() {
    let home = Home::new();
    let workspace = task(&home);
    fs::write(workspace.join("work"), "first").unwrap();
    let first = json(&home, &["checkpoint", "create", "a task", "--name", "before"]);
    assert_eq!(first["cause"], "asked");
    fs::write(workspace.join("work"), "second").unwrap();
    let second = json(&home, &["checkpoint", "create", "a task"]);
    assert_eq!(second["parent"], first["checkpoint_id"]);

    let listed = json(&home, &["checkpoint", "list", "a task"])["checkpoints"].clone();
    assert_eq!(listed, json!([first, second]));
    let shown = json(&home, &["checkpoint", "show", "a task", "before"]);
    assert_eq!(shown, first);
    let again = home.user().join("again");
    let extract = |which: &str| {
        json(&home, &["checkpoint", "extract", "a task", which, again.to_str().unwrap()])
    };
    extract("before");
    assert_eq!(fs::read_to_string(again.join("work")).unwrap(), "first");
    assert!(again.join(".git/HEAD").exists());
    fs::remove_dir_all(&again).unwrap();
    extract(&id(&second));
    assert_eq!(fs::read_to_string(again.join("work")).unwrap(), "second");

    let verified = json(&home, &["checkpoint", "verify"]);
    assert_eq!(verified["whole"], json!([id(&first), id(&second)]));
    assert_eq!(verified["findings"], json!([]));
    let events = lines(&home, &["events", "a task", "--match", "checkpoint:*"]);
    let taken: Vec<_> = events.iter().map(|event| event["data"]["checkpoint"].clone()).collect();
    assert_eq!(taken, [first["checkpoint_id"].clone(), second["checkpoint_id"].clone()]);
    assert_eq!(events[0]["data"]["name"], "before");
}

#[test]
fn what_is_wrong_with_a_checkpoint_is_told() {
    let home = Home::new();
    let workspace = task(&home);
    let first = json(&home, &["checkpoint", "create", "a task", "--name", "one"]);
    let second = json(&home, &["checkpoint", "create", "a task"]);
    let occupied = workspace.to_str().unwrap();
    for (arguments, exit, code) in [
        (&["checkpoint", "create", "a task", "--name", "one"][..], 4, "checkpoint.name_taken"),
        (&["checkpoint", "create", "a task", "--name", "../x"], 2, "argument.invalid"),
        (&["checkpoint", "create", "a task", "--name", ""], 2, "argument.invalid"),
        (&["checkpoint", "create", "nobody"], 3, "task.not_found"),
        (&["checkpoint", "show", "a task", "none"], 3, "checkpoint.not_found"),
        (&["checkpoint", "show", "a task", "../../one"], 3, "checkpoint.not_found"),
        (&["checkpoint", "show", "a task", "01"], 3, "checkpoint.ambiguous"),
        (&["checkpoint", "extract", "a task", "one", occupied], 4, "checkpoint.occupied"),
    ] {
        assert_eq!(refused(&home, arguments, exit), code, "{arguments:?}");
    }
    assert_eq!(
        json(&home, &["checkpoint", "list", "a task"])["checkpoints"],
        json!([first, second])
    );

    let packs = home.path().join("checkpoints/packs");
    for pack in fs::read_dir(packs).unwrap() {
        let pack = pack.unwrap().path();
        let mut bytes = fs::read(&pack).unwrap();
        bytes[20] ^= 1;
        fs::write(pack, bytes).unwrap();
    }
    let verified = armor(&home, &["checkpoint", "verify", "a task"]);
    assert_eq!(verified.code, 1, "{verified:?}");
    assert!(verified.out.contains("is missing or damaged"), "{verified:?}");
}

// R26: a task's checkpoints go with it.
#[tokio::test]
async fn engine_a_deleted_tasks_checkpoints_are_forgotten() {
    armor_testkit::require_engine!();
    let home = Home::new();
    task(&home);
    json(&home, &["checkpoint", "create", "a task"]);
    let manifests = home.path().join("checkpoints/manifests");
    assert_eq!(fs::read_dir(&manifests).unwrap().count(), 1);
    json(&home, &["cleanup-task", "a task", "--force"]);
    assert_eq!(fs::read_dir(&manifests).unwrap().count(), 0);
}
