//! `prune`, as people use it (R57).

use armor_testkit::{Home, require_engine};
use serde_json::Value;

use crate::support::{armor, json, refused};

#[tokio::test]
async fn engine_what_would_be_removed_is_shown_asked_for_and_then_removed() {
    require_engine!();
    let home = Home::new();
    let backup = json(&home, &["backup", "create"])["path"].as_str().unwrap().to_owned();
    let task = json(&home, &["create-task", "new"])["task_id"].as_str().unwrap().to_owned();
    json(&home, &["checkpoint", "create", "new"]);
    json(&home, &["backup", "restore", &backup, "--force"]);
    let folder = home.path().join("tasks").join(&task);
    let manifests = home.path().join("checkpoints/manifests").join(&task);
    assert!(folder.exists() && manifests.exists());

    // What it was made for may still be wanted: not without a word.
    let nothing = armor(&home, &["prune"]);
    assert!(nothing.out.starts_with("Nothing is due."), "{nothing:?}");
    assert!(nothing.out.contains(&task) && nothing.out.contains("by hand"), "{nothing:?}");
    let dry = json(&home, &["prune", "--all", "--dry-run"]);
    assert_eq!(dry["removed"], Value::Null);
    assert_eq!(dry["found"]["due"][0]["task_id"], task.as_str());
    assert_eq!(dry["found"]["due"][0]["belongings"][0], "files");
    assert!(dry["found"]["due"][0]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(refused(&home, &["prune", "--all"], 2), "argument.invalid");
    assert!(folder.exists());

    let done = json(&home, &["prune", "--all", "--force"]);
    assert_eq!(done["removed"]["orphans"], 1);
    // R26: all its layers.
    assert!(!folder.exists() && !manifests.exists());
    assert_eq!(armor(&home, &["prune"]).out, "Nothing is due.\n");
    assert!(home.leftovers().await.is_empty());
}
