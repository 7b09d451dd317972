//! Commands in the background, commands whose Armor was killed, and shells (R52, R71).

use std::io::Write;
use std::process::Stdio;
use std::time::Instant;

use armor_testkit::{Home, require_engine};
use serde_json::json;

use crate::support::{LONG, armor, json, refused, started_task};

#[tokio::test]
async fn engine_a_command_in_the_background_is_listed_followed_and_killed() {
    require_engine!();
    let home = Home::new();
    let (task, workspace) = started_task(&home, &[]);
    let line = "echo begun; until test -e go; do sleep 0.02; done; echo err >&2; echo end; exit 6";
    let begun = json(&home, &["exec", "--background", "--shell", &task, line]);
    assert_eq!(begun["status"], "running");
    let id = begun["execution_id"].as_str().unwrap();
    let listed = json(&home, &["executions", "list", &task]);
    assert_eq!((&listed[0]["execution_id"], &listed[0]["status"]), (&json!(id), &json!("running")));

    let mut follower = home.command(env!("CARGO_BIN_EXE_armor"));
    follower.args(["executions", "logs", "--follow", &task, id]);
    let follower = follower.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::fs::write(workspace.join("go"), "").unwrap();
    let followed = follower.wait_with_output().unwrap();
    assert_eq!(followed.status.code(), Some(6));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(
        (text(&followed.stdout).as_str(), text(&followed.stderr).as_str()),
        ("begun\nend\n", "err\n")
    );
    let logs = armor(&home, &["executions", "logs", &task]);
    assert_eq!((logs.code, logs.out.as_str(), logs.err.as_str()), (0, "begun\nend\n", "err\n"));

    // One that ends and leaves something behind is killed with that.
    let line = "sleep 1000 & echo done";
    let begun = json(&home, &["exec", "--background", "--shell", &task, line]);
    let id = begun["execution_id"].as_str().unwrap();
    armor(&home, &["executions", "logs", "--follow", &task, id]);
    assert_eq!(json(&home, &["executions", "kill", &task, id])["status"], "exited");
    let sleeps = "cat /proc/[0-9]*/comm | grep -c sleep";
    assert_eq!(armor(&home, &["exec", "--shell", &task, sleeps]).out, "0\n");
    let begun = json(&home, &["exec", "--background", &task, "sleep", "1000"]);
    let id = begun["execution_id"].as_str().unwrap();
    let killed = json(&home, &["executions", "kill", &task, id]);
    assert_eq!((&killed["status"], &killed["exit_code"]), (&json!("killed"), &json!(137)));

    // What cannot be started is told at once.
    let said = armor(&home, &["exec", "--background", &task, "no-such-program"]);
    assert_eq!(said.code, 127, "{said:?}");
    assert!(said.err.contains("[execution.command_not_found]"), "{said:?}");
    assert_eq!(
        refused(&home, &["executions", "kill", &task, "nonesuch"], 3),
        "execution.not_found"
    );
}

#[tokio::test]
async fn engine_a_command_whose_armor_is_killed_is_there_with_its_output_and_its_exit_code() {
    require_engine!();
    let home = Home::new();
    let (task, workspace) = started_task(&home, &[]);
    let line = "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); [ $i = 100 ] && touch begun; done; exit 5";
    let mut watcher = home.command(env!("CARGO_BIN_EXE_armor"));
    watcher.args(["exec", "--shell", &task, line]).stdout(Stdio::null());
    let mut watcher = watcher.spawn().unwrap();
    let begun = Instant::now();
    while !workspace.join("begun").exists() {
        assert!(begun.elapsed() < LONG, "it never began");
    }
    watcher.kill().unwrap();
    watcher.wait().unwrap();

    let followed = armor(&home, &["executions", "logs", "--follow", &task]);
    let logs = armor(&home, &["executions", "logs", &task]);
    let whole: String = (0..20_000).map(|n| n.to_string() + "\n").collect();
    assert!(logs.out == whole, "{} bytes of {}", logs.out.len(), whole.len());
    let listed = json(&home, &["executions", "list", &task]);
    assert_eq!((&listed[0]["status"], &listed[0]["exit_code"]), (&json!("exited"), &json!(5)));
    assert_eq!(followed.code, 5);
    assert!(followed.out == whole, "{} bytes of {}", followed.out.len(), whole.len());
}

// R52
#[tokio::test]
async fn engine_what_sandboxes_use_is_shown_beside_their_limits() {
    require_engine!();
    let home = Home::new();
    assert_eq!(json(&home, &["stats"]), json!([]));
    let (task, workspace) = started_task(&home, &[]);
    let line = "touch begun; while true; do :; done";
    json(&home, &["exec", "--background", "--shell", &task, line]);
    let begun = Instant::now();
    while !workspace.join("begun").exists() {
        assert!(begun.elapsed() < LONG, "it never began");
    }
    // It takes what it gets.
    let shown = loop {
        let shown = json(&home, &["stats"]);
        if shown[0]["cpu_millis"].as_u64().unwrap() > 200 {
            break shown;
        }
        assert!(begun.elapsed() < LONG, "{shown:#}");
    };
    assert_eq!((&shown[0]["task_id"], &shown[0]["name"]), (&json!(task), &json!("t")));
    assert!(shown[0]["pids"].as_u64().unwrap() >= 3, "{shown:#}");
    assert!(shown[0]["memory_bytes"].as_u64().unwrap() > 100_000, "{shown:#}");
    assert!(shown[0]["limits"]["memory_mib"].as_u64().unwrap() > 0, "{shown:#}");
    let table = armor(&home, &["stats"]);
    assert!(table.out.contains(&task) && table.out.contains("MiB"), "{table:?}");
}

#[tokio::test]
async fn engine_a_shell_has_the_terminals_size_ctrl_c_and_ends_with_its_exit_code() {
    require_engine!();
    let home = Home::new();
    let (task, _) = started_task(&home, &[]);
    let shell = format!("stty cols 101 rows 33; {} shell {task}", env!("CARGO_BIN_EXE_armor"));
    let mut script = home.command("script");
    script.args(["--quiet", "--return", "--command", &shell, "/dev/null"]);
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = script.spawn().unwrap();
    let mut keys = script.stdin.take().unwrap();
    // What is typed early waits in the terminal; the last line is only for the shell that is left.
    keys.write_all(b"stty size; tty\nsleep 1000\n").unwrap();
    let begun = Instant::now();
    let running = || armor(&home, &["exec", "--shell", &task, "cat /proc/[0-9]*/comm"]).out;
    while !running().contains("sleep") {
        assert!(begun.elapsed() < LONG, "the shell does nothing");
    }
    keys.write_all(b"\x03").unwrap();
    while running().contains("sleep") {
        assert!(begun.elapsed() < LONG, "Ctrl-C did not reach it");
    }
    keys.write_all(b"exit 9\n").unwrap();
    let ended = script.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(9), "{shown}");
    assert!(shown.contains("33 101") && shown.contains("/dev/pts/"), "{shown}");
    assert_eq!(refused(&home, &["shell", &task], 2), "argument.invalid");
}
