//! Checkpoints that nobody asks for: before risky commands, at a task's start and its ends.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use armor_testkit::{Home, Repository};
use serde_json::{Value, json};

use crate::support::{armor, json, lines, refused};

/// A home in which checkpoints are taken by themselves.
fn home() -> Home {
    Home::new().with("ARMOR_CHECKPOINT_AUTOMATIC", "true")
}

/// A task on a repository, and the folder of its working copy.
fn task(home: &Home) -> PathBuf {
    let repository = Repository::make(home.user().join("project"));
    let path = repository.path().to_str().unwrap();
    let task = json(home, &["create-task", "a task", "--workspace", path]);
    home.path().join("tasks").join(task["task_id"].as_str().unwrap()).join("workspace")
}

fn shell(home: &Home, line: &str) -> Value {
    json(home, &["exec", "a task", "--shell", "--", line])
}

/// The checkpoints of the task, the oldest first.
fn taken(home: &Home) -> Vec<Value> {
    json(home, &["checkpoint", "list", "a task"])["checkpoints"].as_array().unwrap().clone()
}

fn causes(home: &Home) -> Vec<String> {
    taken(home).iter().map(|one| one["cause"].as_str().unwrap().to_owned()).collect()
}

fn explain(home: &Home, words: &[&str]) -> Value {
    json(home, &[&["checkpoint", "explain", "a task"], words].concat())
}

// R27, R42: taken before the command runs, with the reason in it, and there to go back to.
#[tokio::test]
async fn engine_a_checkpoint_is_taken_before_a_risky_command_and_brings_back_what_it_removed() {
    armor_testkit::require_engine!();
    let home = home();
    let workspace = task(&home);
    shell(&home, "mkdir src && echo work > src/file");
    assert_eq!(causes(&home), ["started"], "a harmless command");
    shell(&home, "rm -rf src");
    assert!(!workspace.join("src").exists());
    assert_eq!(causes(&home), ["started", "before_risk"]);

    let risky = taken(&home)[1]["checkpoint_id"].as_str().unwrap().to_owned();
    let shown = json(&home, &["checkpoint", "show", "a task", &risky]);
    assert_eq!(shown["risk"]["threshold"], 50);
    assert_eq!(
        shown["risk"]["parts"][0],
        json!({ "kind": "deletes", "points": 25, "why": "`rm`: removes files" })
    );
    let said = armor(&home, &["checkpoint", "show", "a task", &risky]);
    assert!(said.out.contains("deletes    `rm`: removes files"), "{said:?}");
    let events = lines(&home, &["events", "a task", "--match", "checkpoint:taken"]);
    assert_eq!(events[1]["data"]["cause"], "before_risk");
    // Before it in the log, too.
    let all = lines(&home, &["events", "a task"]);
    let place = |name: &str| all.iter().rposition(|event| event["event"] == name).unwrap();
    assert!(place("checkpoint:taken") < place("execution:started"));

    json(&home, &["checkpoint", "restore", "a task", &risky, "--force"]);
    assert_eq!(fs::read_to_string(workspace.join("src/file")).unwrap(), "work\n");
    json(&home, &["cleanup-task", "a task", "--force"]);
}

// R27: the reason is told before and afterwards; what nothing ran since is not kept again.
#[tokio::test]
async fn engine_what_would_be_done_is_explained_and_done_so() {
    armor_testkit::require_engine!();
    let home = home();
    task(&home);
    shell(&home, "echo work > file");
    assert_eq!(explain(&home, &["--", "ls", "-l"])["decision"], "below_threshold");
    let due = explain(&home, &["--", "rm", "-rf", "file"]);
    assert_eq!((&due["decision"], &due["pauses"]), (&json!("due"), &json!(false)), "{due}");
    assert_eq!(due["score"], 53, "{due}");
    let line = explain(&home, &["--shell", "--", "cd x && git reset --hard"]);
    assert_eq!(line["parts"][0]["kind"], "rewrites");
    assert_eq!(explain(&home, &[])["checkpoints"], json!([]));
    let said = armor(&home, &["checkpoint", "explain", "a task", "rm", "-rf", "file"]);
    assert!(said.out.contains(" 53  of 100; 50 is risky\na checkpoint is taken first"), "{said:?}");

    json(&home, &["checkpoint", "create", "a task"]);
    assert_eq!(explain(&home, &["rm", "-rf", "file"])["decision"], "nothing_since");
    // It fails, and was risky all the same.
    let failed = armor(&home, &["exec", "a task", "--", "git", "reset", "--hard"]);
    assert_ne!(failed.code, 0, "{failed:?}");
    assert_eq!(causes(&home), ["started", "asked"]);

    let busy = json(&home, &["exec", "a task", "--background", "--", "sleep", "600"]);
    let due = explain(&home, &["rm", "-rf", "file"]);
    assert_eq!((&due["decision"], &due["pauses"]), (&json!("due"), &json!(true)), "{due}");
    // Others run: the sandbox stands still, and goes on.
    shell(&home, "rm -rf file");
    assert_eq!(causes(&home), ["started", "asked", "before_risk"]);
    let told = explain(&home, &[])["checkpoints"].clone();
    assert_eq!(told[0]["checkpoint_id"], taken(&home)[2]["checkpoint_id"]);
    assert_eq!(told[0]["risk"]["parts"][0]["kind"], "deletes");
    let executions = json(&home, &["executions", "list", "a task"]);
    let mut executions = executions.as_array().unwrap().iter();
    let slept = executions.find(|one| one["execution_id"] == busy["execution_id"]);
    assert_eq!(slept.unwrap()["status"], "running");
    for empty in ["restoring", "trash"] {
        assert_eq!(fs::read_dir(home.path().join(empty)).unwrap().count(), 0, "{empty}");
    }
    assert_eq!(refused(&home, &["checkpoint", "explain", "nobody", "ls"], 3), "task.not_found");
    json(&home, &["cleanup-task", "a task", "--force"]);
}

// R42: a command in the background counts as another one does, and the switch is one for all.
#[tokio::test]
async fn engine_no_checkpoint_is_taken_by_itself_where_that_is_switched_off() {
    armor_testkit::require_engine!();
    let home = home();
    task(&home);
    let off = ["--set", "checkpoint.automatic=false"];
    json(&home, &[&["exec", "a task"][..], &off, &["--", "touch", "file"]].concat());
    let risky = ["exec", "a task", "--background"];
    json(&home, &[&risky[..], &off, &["--", "rm", "-rf", "file"]].concat());
    let would =
        json(&home, &[&["checkpoint", "explain", "a task"][..], &off, &["rm", "-r", "x"]].concat());
    assert_eq!(would["decision"], "switched_off");
    json(&home, &[&["complete-task", "a task"][..], &off].concat());
    assert!(taken(&home).is_empty());

    json(&home, &["create-task", "another"]);
    json(&home, &["exec", "another", "--", "touch", "file"]);
    json(&home, &["exec", "another", "--background", "--", "rm", "-rf", "file"]);
    let all = json(&home, &["checkpoint", "list", "another"])["checkpoints"].clone();
    assert_eq!(all[1]["cause"], "before_risk", "{all}");
    for task in ["a task", "another"] {
        json(&home, &["cleanup-task", task, "--force"]);
    }
}

// R42
#[tokio::test]
async fn engine_a_checkpoint_is_taken_when_a_task_starts_and_however_it_ends() {
    armor_testkit::require_engine!();
    for (end, cause) in [
        (&["complete-task", "a task"][..], "completed"),
        (&["stop-task", "a task", "--failed", "--reason", "no luck"], "failed"),
        (&["stop-task", "a task"], "failed"),
    ] {
        let home = home();
        task(&home);
        shell(&home, "echo work > file");
        json(&home, end);
        assert_eq!(causes(&home), ["started", cause]);
        let last = taken(&home)[1]["checkpoint_id"].as_str().unwrap().to_owned();
        let again = home.user().join("again");
        json(&home, &["checkpoint", "extract", "a task", &last, again.to_str().unwrap()]);
        assert_eq!(fs::read_to_string(again.join("file")).unwrap(), "work\n");
        json(&home, &["cleanup-task", "a task", "--force"]);
    }
}

// R96: what keeps a checkpoint from being taken keeps nobody from working.
#[tokio::test]
async fn engine_a_checkpoint_that_cannot_be_taken_stops_neither_a_command_nor_a_change() {
    armor_testkit::require_engine!();
    let home = home();
    let workspace = task(&home);
    let packs = home.path().join("checkpoints/packs");
    fs::write(&packs, "no folder").unwrap();
    shell(&home, "echo work > file");
    let said = armor(&home, &["exec", "a task", "--", "rm", "-rf", "file"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("no checkpoint was taken"), "{said:?}");
    assert!(!workspace.join("file").exists());
    json(&home, &["complete-task", "a task"]);
    assert!(taken(&home).is_empty());
    json(&home, &["cleanup-task", "a task", "--force"]);
}

/// A file of the last checkpoint, of whichever tree.
fn kept(home: &Home, file: &str) -> u64 {
    let last = taken(home).last().unwrap()["checkpoint_id"].as_str().unwrap().to_owned();
    let archive = home.user().join(format!("{last}.tar.gz"));
    if !archive.exists() {
        json(home, &["checkpoint", "export", "a task", &last, archive.to_str().unwrap()]);
    }
    let text = Command::new("tar").arg("-xzOf").arg(&archive).arg(file).output().unwrap();
    String::from_utf8(text.stdout).unwrap().trim().parse().unwrap()
}

// R27: while others run, a risky command's checkpoint is of one moment.
#[tokio::test]
async fn engine_what_runs_beside_a_risky_command_stands_still_while_its_files_are_read() {
    armor_testkit::require_engine!();
    let home = home();
    let workspace = task(&home);
    let counting = "i=0; while :; do i=$((i+1)); \
        echo $i > .a && mv .a a; echo $i > ~/.b && mv ~/.b ~/b; done";
    json(&home, &["exec", "a task", "--background", "--shell", "--", counting]);
    shell(&home, "until [ -e ~/b ]; do :; done; mkdir x");
    shell(&home, "rm -rf x");
    assert_eq!(causes(&home), ["started", "before_risk"]);
    let (first, second) = (kept(&home, "workspace/a"), kept(&home, "memory/b"));
    assert!(first == second || first == second + 1, "{first} and {second}");
    // It goes on counting.
    let before = fs::read_to_string(workspace.join("a")).unwrap();
    shell(&home, &format!("while [ $(cat a) = {} ]; do :; done", before.trim()));

    let pause = ["--set", "checkpoint.consistency=pause"];
    json(&home, &[&["checkpoint", "create", "a task"][..], &pause].concat());
    let (first, second) = (kept(&home, "workspace/a"), kept(&home, "memory/b"));
    assert!(first == second || first == second + 1, "{first} and {second}");
    json(&home, &["cleanup-task", "a task", "--force"]);
}

// R96: who was killed meanwhile leaves no sandbox that stands still.
#[tokio::test]
async fn engine_a_sandbox_that_a_dead_process_let_stand_still_goes_on() {
    armor_testkit::require_engine!();
    let home = home();
    let workspace = task(&home);
    shell(&home, "true");
    let created = lines(&home, &["events", "a task", "--match", "sandbox:created"]);
    let sandbox = created.last().unwrap()["data"]["sandbox"].as_str().unwrap();
    let id = workspace.parent().unwrap().file_name().unwrap();
    let place = home.path().join("restoring").join(id);
    fs::create_dir_all(&place).unwrap();
    let note = json!({ "checkpoint": null, "safety": null, "sandbox": sandbox });
    fs::write(place.join("restoration.json"), note.to_string()).unwrap();
    let docker = armor_testkit::engine::docker();
    docker.pause_container(sandbox).await.unwrap();
    json(&home, &["show", "a task"]);
    let seen = docker.inspect_container(sandbox, None).await.unwrap();
    assert_eq!(seen.state.unwrap().paused, Some(false));
    assert!(!place.exists());
    json(&home, &["cleanup-task", "a task", "--force"]);
}
