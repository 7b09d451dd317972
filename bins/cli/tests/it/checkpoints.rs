//! Checkpoints, as people take them and come back to them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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

    assert_eq!(ids(&home), [id(&first), id(&second)]);
    let shown = json(&home, &["checkpoint", "show", "a task", "before"]);
    assert_eq!(shown["checkpoint_id"], first["checkpoint_id"]);
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
    assert_eq!(ids(&home), [id(&first), id(&second)]);

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

// R24: in place, with a checkpoint of what was there to go back to.
#[test]
fn files_become_those_of_a_checkpoint_and_those_that_were_there_are_kept() {
    let home = Home::new();
    let workspace = task(&home);
    fs::write(workspace.join("work"), "good").unwrap();
    json(&home, &["checkpoint", "create", "a task", "--name", "good"]);
    fs::write(workspace.join("work"), "bad").unwrap();
    fs::write(workspace.join("more"), "of it").unwrap();
    fs::remove_dir_all(workspace.join(".git")).unwrap();

    assert_eq!(refused(&home, &["checkpoint", "restore", "a task", "good"], 2), "argument.invalid");
    assert_eq!(fs::read_to_string(workspace.join("work")).unwrap(), "bad");
    let restored = json(&home, &["checkpoint", "restore", "a task", "good", "--force"]);
    assert_eq!(fs::read_to_string(workspace.join("work")).unwrap(), "good");
    assert!(!workspace.join("more").exists() && workspace.join(".git/HEAD").exists());

    let events = lines(&home, &["events", "a task", "--match", "checkpoint:restored"]);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["data"]["safety"], restored["safety_id"]);
    assert_eq!(events[0]["data"]["changed"], restored["changed"]);
    let safety = restored["safety_id"].as_str().unwrap();
    let shown = json(&home, &["checkpoint", "show", "a task", safety]);
    assert_eq!(shown["cause"], "before_restore");
    json(&home, &["checkpoint", "restore", "a task", safety, "--force"]);
    assert_eq!(fs::read_to_string(workspace.join("more")).unwrap(), "of it");
    assert!(!workspace.join(".git").exists());
    for empty in ["restoring", "trash"] {
        assert_eq!(fs::read_dir(home.path().join(empty)).unwrap().count(), 0, "{empty}");
    }
}

// R24: a sandbox that runs has its workspace mounted, and its commands go on.
#[tokio::test]
async fn engine_a_sandbox_that_runs_sees_the_files_of_the_checkpoint_and_goes_on() {
    armor_testkit::require_engine!();
    let home = Home::new();
    json(&home, &["create-task", "a task", "--image", armor_testkit::engine::image().as_str()]);
    let shell = |line: &str| json(&home, &["exec", "a task", "--shell", "--", line]);
    shell("echo good > work; echo memory > ~/note");
    json(&home, &["checkpoint", "create", "a task", "--name", "good"]);
    let running = json(&home, &["exec", "a task", "--background", "--", "sleep", "600"]);
    shell("rm -rf work ~/note; mkdir work; echo bad > work/file");
    json(&home, &["checkpoint", "restore", "a task", "good", "--force"]);
    assert_eq!(shell("cat work ~/note")["stdout"], "good\nmemory\n");
    shell("echo more >> work");
    let executions = json(&home, &["executions", "list", "a task"]);
    let slept = executions
        .as_array()
        .unwrap()
        .iter()
        .find(|execution| execution["execution_id"] == running["execution_id"]);
    assert_eq!(slept.unwrap()["status"], "running");
    json(&home, &["cleanup-task", "a task", "--force"]);
}

// R24, R96: a kill leaves the old files, or what comes next makes them the new ones.
#[test]
fn a_restoration_that_is_killed_leaves_the_old_files_or_comes_to_its_end() {
    let home = Home::new();
    let workspace = task(&home);
    let fill = |text: &str| {
        for number in 0..400 {
            fs::write(workspace.join(number.to_string()), text).unwrap();
        }
    };
    let content = || {
        let found: std::collections::BTreeSet<_> = (0..400)
            .map(|number| fs::read_to_string(workspace.join(number.to_string())).unwrap())
            .collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    };
    fill("old");
    json(&home, &["checkpoint", "create", "a task", "--name", "old"]);
    fill("new");
    json(&home, &["checkpoint", "create", "a task", "--name", "new"]);
    let mut there = "new";
    let (mut stayed, mut ended) = (0, 0);
    let mut whole = Duration::ZERO;
    for round in 0..24 {
        let to = if there == "new" { "old" } else { "new" };
        let mut child = home
            .command(env!("CARGO_BIN_EXE_armor"))
            .args(["checkpoint", "restore", "a task", to, "--force"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Other moments are tried once there is something to do.
        let began = home.path().join("restoring");
        while fs::read_dir(&began).unwrap().next().is_none() && child.try_wait().unwrap().is_none()
        {
            std::thread::yield_now();
        }
        let start = Instant::now();
        if round == 0 {
            assert!(child.wait().unwrap().success());
            whole = start.elapsed();
        } else {
            // The moment is what is tried, not something that is waited for.
            std::thread::sleep(whole * (round % 12) / 11);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        json(&home, &["show", "a task"]);
        let now = content();
        if now == to {
            ended += 1;
            there = to;
        } else {
            assert_eq!(now, there);
            stayed += 1;
        }
        assert_eq!(fs::read_dir(&began).unwrap().count(), 0);
    }
    assert!(stayed > 0 && ended > 0, "{stayed} times the old files, {ended} times the new ones");
    let verified = json(&home, &["checkpoint", "verify"]);
    assert_eq!(verified["findings"], json!([]));
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

fn ids(home: &Home) -> Vec<String> {
    let listed = json(home, &["checkpoint", "list", "a task"])["checkpoints"].clone();
    listed.as_array().unwrap().iter().map(id).collect()
}

/// The bytes of all packs.
fn stored(home: &Home) -> u64 {
    let packs = fs::read_dir(home.path().join("checkpoints/packs")).unwrap();
    packs.map(|pack| pack.unwrap().metadata().unwrap().len()).sum()
}

/// Bytes that do not compress.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()[7]
    });
    bytes.take(1 << 20).collect()
}

// R23: retention by the settings, by hand, and by size; what no checkpoint needs is given back.
#[test]
fn old_checkpoints_go_and_those_that_are_held_stay() {
    let home = Home::new();
    let workspace = task(&home);
    let take = |seed: u64, arguments: &[&str]| {
        fs::write(workspace.join("work"), noise(seed)).unwrap();
        let command = ["checkpoint", "create", "a task"];
        id(&json(&home, &[&command[..], arguments].concat()))
    };
    let few = ["--set", "checkpoint.keep_last=2", "--set", "checkpoint.keep_hourly=0"];
    let few =
        [&few[..], &["--set", "checkpoint.keep_daily=0", "--set", "checkpoint.keep_weekly=0"]];
    let few = few.concat();
    let (pinned, named) = (take(1, &["--pin"]), take(2, &["--name", "named"]));
    let old = take(3, &[]);
    let (older, newest) = (take(4, &[]), take(5, &few));
    assert_eq!(ids(&home), [&*pinned, &*named, &*older, &*newest], "{old} has gone");
    let shown = json(&home, &["checkpoint", "show", "a task", &pinned]);
    assert_eq!(shown["pinned"], true);

    let before = stored(&home);
    let pruned = json(&home, &["checkpoint", "prune"]);
    assert_eq!(pruned["removed"], json!([]), "nothing more is due by the default settings");
    assert!(before - stored(&home) > 1 << 20, "{pruned}");
    assert_eq!(json(&home, &["checkpoint", "verify"])["whole"].as_array().unwrap().len(), 4);

    assert_eq!(refused(&home, &["checkpoint", "remove", "a task", "named"], 2), "argument.invalid");
    json(&home, &["checkpoint", "remove", "a task", "named", "--force"]);
    json(&home, &["checkpoint", "unpin", "a task", &pinned]);
    assert_eq!(ids(&home), [&*pinned, &*older, &*newest]);

    // Room for two of them: the oldest goes.
    let limit = ["--set", "checkpoint.size_limit_mib=3"];
    let would = json(&home, &[&["checkpoint", "prune", "--dry-run"][..], &limit].concat());
    assert_eq!(would["found"][0]["checkpoint_id"], json!(pinned));
    assert_eq!(ids(&home).len(), 3);
    let pruned = json(&home, &[&["checkpoint", "prune"][..], &limit].concat());
    assert_eq!(pruned["removed"], would["found"]);
    assert_eq!(pruned["removed"][0]["why"], "size");
    assert_eq!(ids(&home), [&*older, &*newest]);
    assert!(stored(&home) < 3 << 20);

    let events = lines(&home, &["events", "a task", "--match", "checkpoint:forgotten"]);
    let causes: Vec<_> = events.iter().map(|event| event["data"]["cause"].clone()).collect();
    assert_eq!(causes, ["retention", "asked", "size"]);
    let left = fs::read_dir(home.path().join("checkpoints/manifests")).unwrap().next().unwrap();
    assert_eq!(fs::read_dir(left.unwrap().path()).unwrap().count(), 2);
}

// R25, R96: what a kill between the files and the row leaves, or the restoration of an older database.
#[test]
fn a_checkpoint_that_nobody_noted_is_found_and_one_that_was_removed_does_not_come_again() {
    let home = Home::new();
    task(&home);
    let backup = json(&home, &["backup", "create"])["path"].as_str().unwrap().to_owned();
    let first = id(&json(&home, &["checkpoint", "create", "a task", "--name", "one"]));
    json(&home, &["backup", "restore", &backup, "--force"]);
    assert!(ids(&home).is_empty());
    assert_eq!(json(&home, &["checkpoint", "prune"])["adopted"], 1);
    assert_eq!(id(&json(&home, &["checkpoint", "show", "a task", "one"])), first);

    let second = id(&json(&home, &["checkpoint", "create", "a task"]));
    let folder = fs::read_dir(home.path().join("checkpoints/manifests")).unwrap().next().unwrap();
    let manifest = folder.unwrap().path().join(format!("{second}.json"));
    let text = fs::read(&manifest).unwrap();
    json(&home, &["checkpoint", "remove", "a task", &second, "--force"]);
    assert!(!manifest.exists());
    // As if it had died before that.
    fs::write(&manifest, text).unwrap();
    assert_eq!(json(&home, &["checkpoint", "prune"])["adopted"], 0);
    assert_eq!(ids(&home), [&*first]);
    assert!(!manifest.exists());
}

// R25: files that were away, as on a disk that was not mounted, count again when they are back.
#[test]
fn checkpoints_whose_files_were_away_are_taken_up_again_and_pins_hold() {
    let home = Home::new();
    task(&home);
    let taken = id(&json(&home, &["checkpoint", "create", "a task", "--pin"]));
    let later = id(&json(&home, &["checkpoint", "create", "a task"]));
    let unpinned = id(&json(&home, &["checkpoint", "create", "a task", "--pin"]));
    json(&home, &["checkpoint", "pin", "a task", &later]);
    json(&home, &["checkpoint", "unpin", "a task", &unpinned]);
    let (there, away) = (home.path().join("checkpoints"), home.user().join("away"));
    fs::rename(&there, &away).unwrap();
    json(&home, &["recover", "a task"]);
    assert!(ids(&home).is_empty());
    fs::remove_dir_all(&there).unwrap();
    fs::rename(&away, &there).unwrap();
    assert_eq!(json(&home, &["checkpoint", "prune"])["adopted"], 3);
    assert_eq!(ids(&home), [&*taken, &*later, &*unpinned]);
    for (one, pinned) in [(&taken, true), (&later, true), (&unpinned, false)] {
        assert_eq!(json(&home, &["checkpoint", "show", "a task", one])["pinned"], pinned);
    }
    assert_eq!(json(&home, &["checkpoint", "verify"])["whole"].as_array().unwrap().len(), 3);
    assert_eq!(refused(&home, &["checkpoint", "pin", "a task", "none"], 3), "checkpoint.not_found");
}

// R23: one task's damage keeps no other from what it does not need.
#[test]
fn a_checkpoint_whose_manifest_is_gone_holds_up_no_limit_to_the_size() {
    let home = Home::new();
    let workspace = task(&home);
    let take = |seed: u64| {
        fs::write(workspace.join("work"), noise(seed)).unwrap();
        id(&json(&home, &["checkpoint", "create", "a task"]))
    };
    let all = [take(1), take(2), take(3), take(4)];
    let folder = fs::read_dir(home.path().join("checkpoints/manifests")).unwrap().next().unwrap();
    fs::remove_file(folder.unwrap().path().join(format!("{}.json", all[1]))).unwrap();
    json(&home, &["checkpoint", "prune", "--set", "checkpoint.size_limit_mib=3"]);
    assert!(ids(&home).contains(&all[3]) && !ids(&home).contains(&all[0]), "{:?}", ids(&home));
    assert!(stored(&home) < 3 << 20);

    // R72: what is logged has no colours but on a terminal.
    let folder = fs::read_dir(home.path().join("checkpoints/manifests")).unwrap().next().unwrap();
    fs::write(folder.unwrap().path().join("damaged.json"), "{}").unwrap();
    let said = armor(&home, &["checkpoint", "prune"]);
    assert!(said.err.contains("WARN") && !said.err.contains('\u{1b}'), "{said:?}");
}

// R24, R96: a kill between a fork's row and its files.
#[test]
fn what_a_fork_is_to_be_made_from_stays_until_it_is_made() {
    let home = Home::new();
    let workspace = task(&home);
    let fork = json(&home, &["fork", "a task", "--name", "a fork"]);
    let fork = home.path().join("tasks").join(fork["task_id"].as_str().unwrap());
    fs::remove_dir_all(fork.join("workspace")).unwrap();
    let checkpoint = ids(&home).remove(0);

    let none = ["last=1", "hourly=0", "daily=0", "weekly=0"];
    let none = none.map(|rule| format!("checkpoint.keep_{rule}"));
    let none: Vec<_> = none.iter().flat_map(|setting| ["--set", setting]).collect();
    for number in 0..3 {
        fs::write(workspace.join("work"), noise(number)).unwrap();
        json(&home, &[&["checkpoint", "create", "a task"][..], &none].concat());
    }
    json(&home, &[&["checkpoint", "prune"][..], &none].concat());
    assert_eq!(ids(&home).len(), 2, "the newest, and this one");
    assert_eq!(ids(&home)[0], checkpoint);
    // Whoever removes it has the files made first.
    let remove = ["checkpoint", "remove", "a task", &checkpoint, "--force"];
    let packs = home.path().join("checkpoints/packs");
    fs::rename(&packs, home.user().join("away")).unwrap();
    assert_eq!(refused(&home, &remove, 4), "checkpoint.needed");
    assert_eq!(ids(&home).len(), 2);
    let _made = fs::remove_dir_all(&packs);
    fs::rename(home.user().join("away"), &packs).unwrap();
    json(&home, &remove);
    assert!(fork.join("workspace/.git").exists() && !fork.join("forked").exists());
    fs::remove_dir_all(fork.join("workspace")).unwrap();
    json(&home, &["fork", "a task", "--name", "another"]);
    let another = json(&home, &["show", "another"])["task"]["task_id"].clone();
    let another = home.path().join("tasks").join(another.as_str().unwrap());
    fs::remove_dir_all(another.join("workspace")).unwrap();
    json(&home, &["cleanup-task", "a task", "--force"]);
    assert!(another.join("workspace/.git").exists());
}

// R24, R71: in what a checkpoint differs from another one, and from what is there now.
#[test]
fn what_differs_from_a_checkpoint_is_told() {
    let home = Home::new();
    let workspace = task(&home);
    fs::create_dir(workspace.join("folder")).unwrap();
    fs::write(workspace.join("folder/goes"), "text").unwrap();
    fs::write(workspace.join("changes"), "text").unwrap();
    fs::write(workspace.join("mode"), "text").unwrap();
    json(&home, &["checkpoint", "create", "a task", "--name", "one"]);
    assert_eq!(json(&home, &["checkpoint", "diff", "a task", "one"])["differences"], json!([]));

    fs::remove_dir_all(workspace.join("folder")).unwrap();
    fs::write(workspace.join("changes"), "other text").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(workspace.join("mode"), mode).unwrap();
    fs::write(workspace.join("came"), "text").unwrap();
    let expected = json!([
        { "path": "came", "change": "added" },
        { "path": "changes", "change": "modified" },
        { "path": "folder", "change": "removed" },
        { "path": "folder/goes", "change": "removed" },
        { "path": "mode", "change": "metadata" },
    ]);
    assert_eq!(json(&home, &["checkpoint", "diff", "a task", "one"])["differences"], expected);
    assert_eq!(ids(&home).len(), 1, "looking takes none");
    json(&home, &["checkpoint", "create", "a task", "--name", "two"]);
    fs::write(workspace.join("later"), "text").unwrap();
    let differences = json(&home, &["checkpoint", "diff", "a task", "one", "two"]);
    assert_eq!(differences["differences"], expected);
    json(&home, &["checkpoint", "prune"]);
    assert_eq!(json(&home, &["checkpoint", "verify"])["whole"].as_array().unwrap().len(), 2);
}

// R2: restoring leads from any state to pending, and whoever was attached is no longer.
#[tokio::test]
async fn engine_a_task_that_has_ended_begins_anew_with_the_files_of_a_checkpoint() {
    armor_testkit::require_engine!();
    let home = Home::new();
    let workspace = task(&home);
    json(&home, &["exec", "a task", "--", "sh", "-c", "echo done > work"]);
    json(&home, &["checkpoint", "create", "a task", "--name", "done"]);
    json(&home, &["exec", "a task", "--", "rm", "work"]);
    json(&home, &["complete-task", "a task"]);
    let restored = json(&home, &["checkpoint", "restore", "a task", "done", "--force"]);
    let shown = json(&home, &["show", "a task"])["task"].clone();
    assert_eq!(
        (&shown["status"], &shown["agent_id"]),
        (&json!("pending"), &Value::Null),
        "{restored}"
    );
    assert_eq!(fs::read_to_string(workspace.join("work")).unwrap(), "done\n");
    let again = json(&home, &["exec", "a task", "--", "cat", "work"]);
    assert_eq!(again["stdout"], "done\n", "{again}");
}

// R24: a new task with the files of another's checkpoint, and a branch of its own.
#[tokio::test]
async fn engine_a_fork_has_the_files_and_commits_of_the_checkpoint_and_its_own_branch() {
    armor_testkit::require_engine!();
    let home = Home::new();
    let workspace = task(&home);
    let run = |task: &str, line: &str| {
        let ran = json(&home, &["exec", task, "--", "sh", "-c", line]);
        assert_eq!(ran["exit_code"], 0, "{ran}");
        ran["stdout"].as_str().unwrap().to_owned()
    };
    run("a task", "echo one > one && echo kept > ~/memory");
    let ours = id(&json(&home, &["checkpoint", "create", "a task", "--name", "one"]));
    fs::write(workspace.join("one"), "changed").unwrap();
    let packs = stored(&home);
    let fork = json(&home, &["fork", "a task", "one", "--name", "another"]);
    assert_eq!(stored(&home), packs, "nothing is copied in the store");
    let task_id = json(&home, &["show", "a task"])["task"]["task_id"].clone();
    assert_eq!(fork["forked_from"], json!({ "task_id": task_id, "checkpoint_id": ours }));
    assert_eq!(fork["branch"], format!("task/{}", fork["task_id"].as_str().unwrap()));
    assert_eq!(run("another", "cat one ~/memory"), "one\nkept\n");
    assert_eq!(fs::read_to_string(workspace.join("one")).unwrap(), "changed");

    // Without a checkpoint: as it is now.
    let now = json(&home, &["fork", "a task"]);
    assert_eq!(now["name"], "a task (fork)");
    assert_eq!(run("a task (fork)", "cat one"), "changed");
    let taken = json(&home, &["checkpoint", "list", "a task"])["checkpoints"].clone();
    assert_eq!(taken[1]["cause"], "fork");

    // As if it had died before the files were there.
    let third = json(&home, &["fork", "a task", "one", "--name", "third"]);
    let third = home.path().join("tasks").join(third["task_id"].as_str().unwrap());
    fs::remove_dir_all(third.join("workspace")).unwrap();
    fs::remove_dir_all(third.join("memory")).unwrap();
    fs::create_dir_all(third.join("forked/.new-half")).unwrap();
    assert_eq!(run("third", "cat one ~/memory"), "one\nkept\n");
    assert!(!third.join("forked").exists());

    let none = refused(&home, &["fork", "a task", "none"], 3);
    assert_eq!(none, "checkpoint.not_found");
    let tasks = json(&home, &["list-tasks"])["tasks"].as_array().unwrap().len();
    assert_eq!(tasks, 4, "nothing is left of what failed");
}

fn tar(arguments: &[&str]) {
    let done = std::process::Command::new("tar").args(arguments).status().unwrap();
    assert!(done.success(), "tar {arguments:?}");
}

// R23, R95: out as an archive that any tar reads, in again, and in from any other one.
#[test]
fn a_checkpoint_goes_out_as_an_archive_and_comes_in_again() {
    let home = Home::new();
    let workspace = task(&home);
    fs::write(workspace.join("work"), "good").unwrap();
    json(&home, &["checkpoint", "create", "a task", "--name", "good"]);
    let archive = home.user().join("good.tar.gz");
    let archive = archive.to_str().unwrap();
    json(&home, &["checkpoint", "export", "a task", "good", archive]);
    let again = ["checkpoint", "export", "a task", "good", archive];
    assert_eq!(refused(&home, &again, 4), "checkpoint.occupied");

    let place = home.user().join("place");
    fs::create_dir(&place).unwrap();
    tar(&["-xzf", archive, "-C", place.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(place.join("workspace/work")).unwrap(), "good");
    assert!(place.join("memory").is_dir());

    // To another task, which has other files.
    json(&home, &["create-task", "another"]);
    let imported = json(&home, &["checkpoint", "import", "another", archive, "--name", "theirs"]);
    assert_eq!(imported["cause"], "imported");
    json(&home, &["checkpoint", "restore", "another", "theirs", "--force"]);
    let shown = json(&home, &["show", "another"])["task"]["task_id"].clone();
    let theirs = home.path().join("tasks").join(shown.as_str().unwrap());
    assert_eq!(fs::read_to_string(theirs.join("workspace/work")).unwrap(), "good");

    // Somebody's project: it is the workspace, and the memory stays.
    fs::write(theirs.join("memory/note"), "stays").unwrap();
    fs::write(place.join("workspace/work"), "from elsewhere").unwrap();
    let project = home.user().join("project.tar.gz");
    let project = project.to_str().unwrap();
    tar(&["-czf", project, "-C", place.join("workspace").to_str().unwrap(), "."]);
    let imported = json(&home, &["checkpoint", "import", "another", project]);
    json(&home, &["checkpoint", "restore", "another", &id(&imported), "--force"]);
    assert_eq!(fs::read_to_string(theirs.join("workspace/work")).unwrap(), "from elsewhere");
    assert_eq!(fs::read_to_string(theirs.join("memory/note")).unwrap(), "stays");

    // Nothing is left of what is refused.
    let before = json(&home, &["checkpoint", "list", "another"]);
    tar(&[
        "-czPf",
        project,
        "--transform",
        "s,^,/etc/,",
        "-C",
        place.to_str().unwrap(),
        "workspace",
    ]);
    let bad = ["checkpoint", "import", "another", project];
    assert_eq!(refused(&home, &bad, 1), "checkpoint.bad_archive");
    let missing = ["checkpoint", "import", "another", "nothing.tar.gz"];
    assert_eq!(refused(&home, &missing, 1), "storage.failed");
    assert_eq!(json(&home, &["checkpoint", "list", "another"]), before);
}

// R23, R24: what is left out can be seen and changed, never is what git tracks, and stays when files
// become those of a checkpoint.
#[test]
fn what_is_left_out_is_shown_and_stays_as_it_is() {
    let home = Home::new();
    let workspace = task(&home);
    let write = |path: &str, bytes: usize| {
        let path = workspace.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![b'x'; bytes]).unwrap();
    };
    write("work", 10);
    write("node_modules/package/index.js", 1000);
    write("notes/draft.tmp", 20);
    fs::write(workspace.join(".armorignore"), "*.tmp\n").unwrap();
    let trees = json(&home, &["checkpoint", "create", "a task", "--dry-run"])["trees"].clone();
    let left_out = |trees: &Value| -> Vec<(String, String, u64)> {
        let left_out = trees[0]["left_out"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let one = |out: &Value| (text(&out["path"]), text(&out["reason"]), out["bytes"].as_u64());
        left_out.map(one).map(|(path, reason, bytes)| (path, reason, bytes.unwrap())).collect()
    };
    let expected = [
        ("node_modules".to_owned(), "named".to_owned(), 1000),
        ("notes/draft.tmp".to_owned(), "armor_ignored".to_owned(), 20),
    ];
    assert_eq!(left_out(&trees), expected, "{trees}");
    assert!(ids(&home).is_empty(), "nothing is taken");

    let taken = json(&home, &["checkpoint", "create", "a task", "--name", "one"]);
    assert_eq!(taken["left_out"].as_array().unwrap().len(), 2);
    write("work", 11);
    write("node_modules/package/more.js", 5);
    assert_eq!(
        json(&home, &["checkpoint", "diff", "a task", "one"])["differences"],
        json!([{ "path": "work", "change": "modified" }])
    );
    json(&home, &["checkpoint", "restore", "a task", "one", "--force"]);
    assert_eq!(fs::read(workspace.join("work")).unwrap().len(), 10);
    for stays in
        ["node_modules/package/more.js", "node_modules/package/index.js", "notes/draft.tmp"]
    {
        assert!(workspace.join(stays).exists(), "{stays}");
    }
    // By the settings, everything is in it.
    let all = ["--set", "checkpoint.leave_out="];
    let trees = json(&home, &[&["checkpoint", "create", "a task", "--dry-run"][..], &all].concat());
    assert_eq!(left_out(&trees["trees"]).len(), 1);
}

// R24: a single path out of a checkpoint; the rest stays, and so does the task's state.
#[tokio::test]
async fn engine_a_single_path_comes_back_and_the_rest_stays() {
    armor_testkit::require_engine!();
    let home = Home::new();
    let workspace = task(&home);
    json(&home, &["exec", "a task", "--", "mkdir", "-p", "src/deep"]);
    let write = |path: &str, text: &str| fs::write(workspace.join(path), text).unwrap();
    let read = |path: &str| fs::read_to_string(workspace.join(path)).ok();
    for path in ["src/deep/one", "src/deep/two", "src/three", "four"] {
        write(path, "good");
    }
    json(&home, &["checkpoint", "create", "a task", "--name", "good"]);
    fs::remove_dir_all(workspace.join("src/deep")).unwrap();
    write("src/three", "bad");
    write("four", "bad");
    let restore = |path: &str| {
        let command = ["checkpoint", "restore", "a task", "good", "--path", path, "--force"];
        json(&home, &command)
    };
    restore("src/deep/one");
    assert_eq!(read("src/deep/one").unwrap(), "good");
    assert_eq!((read("src/deep/two"), read("src/three").unwrap().as_str()), (None, "bad"));
    write("src/deep/more", "goes");
    let restored = restore("src/deep");
    assert_eq!((read("src/deep/two").unwrap().as_str(), read("src/deep/more")), ("good", None));
    assert_eq!(read("four").unwrap(), "bad");
    let events = lines(&home, &["events", "a task", "--match", "checkpoint:restored"]);
    assert_eq!(events[1]["data"]["path"], "src/deep");
    let shown = json(&home, &["show", "a task"])["task"].clone();
    assert_eq!(shown["status"], "running");
    let safety = restored["safety_id"].as_str().unwrap();
    json(&home, &["checkpoint", "restore", "a task", safety, "--path", "src", "--force"]);
    assert_eq!(read("src/deep/more").unwrap(), "goes");
    // Nothing is made through a link that has taken a folder's place.
    fs::rename(workspace.join("src"), workspace.join("moved")).unwrap();
    std::os::unix::fs::symlink("moved", workspace.join("src")).unwrap();
    let within = ["checkpoint", "restore", "a task", "good", "--path", "src/three", "--force"];
    assert_eq!(refused(&home, &within, 4), "checkpoint.occupied");
    assert!(workspace.join("src").is_symlink());
    assert_eq!(read("moved/three").unwrap(), "bad");
    let taken = ids(&home).len();
    for (path, exit, code) in [
        ("nothing", 3, "checkpoint.not_found"),
        ("../x", 2, "path.outside"),
        ("four/x", 3, "checkpoint.not_found"),
    ] {
        let command = ["checkpoint", "restore", "a task", "good", "--path", path, "--force"];
        assert_eq!(refused(&home, &command, exit), code, "{path}");
    }
    assert_eq!(read("four").unwrap(), "bad");
    assert_eq!(ids(&home).len(), taken, "nothing was kept for what cannot be done");
    let all = ["checkpoint", "restore", "a task", "good", "--path", ".", "--force"];
    json(&home, &all);
    assert_eq!(json(&home, &["show", "a task"])["task"]["status"], "pending", "it is all of it");
    assert_eq!(read("four").unwrap(), "good");
}
