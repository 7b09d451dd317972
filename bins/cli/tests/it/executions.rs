//! Commands in the background, commands whose Armor was killed, and shells (R52, R71).

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use armor_testkit::{Home, require_engine};
use serde_json::{Value, json};

use crate::support::{LONG, armor, json, lines, refused, started_task, until};

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

// R52
#[tokio::test]
async fn engine_a_command_is_sent_signals_and_makes_of_them_what_it_wants() {
    require_engine!();
    let home = Home::new();
    let (task, workspace) = started_task(&home, &[]);
    let line = "trap 'echo heard' INT; trap 'echo bye; exit 6' TERM; touch begun; while true; do sleep 0.02; done";
    let begun = json(&home, &["exec", "--background", "--shell", &task, line]);
    let id = begun["execution_id"].as_str().unwrap();
    until("it never began", || workspace.join("begun").exists());
    let sent = json(&home, &["executions", "kill", "--signal", "sigint", &task, id]);
    assert_eq!((&sent["execution_id"], &sent["status"]), (&json!(id), &json!("running")));
    let logs = ["executions", "logs", task.as_str(), id];
    until("it heard nothing", || armor(&home, &logs).out == "heard\n");
    let sent = armor(&home, &["executions", "kill", &task, id, "--signal", "TERM"]);
    assert_eq!((sent.code, sent.out), (0, format!("{id} was sent TERM\n")), "{}", sent.err);
    let followed = armor(&home, &["executions", "logs", "--follow", &task, id]);
    assert_eq!((followed.code, followed.out.as_str()), (6, "heard\nbye\n"), "{followed:?}");
    for (signal, exit, code) in
        [("INT", 4, "execution.not_running"), ("KILL", 2, "argument.invalid")]
    {
        let kill = ["executions", "kill", "--signal", signal, task.as_str(), id];
        assert_eq!(refused(&home, &kill, exit), code);
    }
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
async fn engine_a_command_that_runs_out_of_memory_is_told_as_such() {
    require_engine!();
    let home = Home::new();
    let (task, _) = started_task(&home, &["--memory-mib", "64"]);
    let bomb = ["exec", &task, "tail", "/dev/zero"];
    let said = armor(&home, &bomb);
    assert_eq!((said.code, said.out.as_str()), (137, ""), "{said:?}");
    let words = "the sandbox ran out of memory, and a process was killed [execution.out_of_memory]";
    assert!(said.err.contains(&format!("{words}\n  next: ")), "{said:?}");
    let said = armor(&home, &[&["--json"], bomb.as_slice()].concat());
    let ended: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &ended["exit_code"]), (137, &json!(137)), "{ended:#}");
    assert_eq!(ended["usage"]["out_of_memory"], true, "{ended:#}");
    assert_eq!(ended["problem"]["code"], "execution.out_of_memory", "{ended:#}");

    // One that lost a process and ended well has no problem, but it did run out of memory; what comes
    // later did not.
    let goes_on = json(&home, &["exec", "--shell", &task, "tail /dev/zero; echo went on"]);
    assert_eq!((&goes_on["exit_code"], &goes_on["stdout"]), (&json!(0), &json!("went on\n")));
    assert_eq!(
        (&goes_on["usage"]["out_of_memory"], &goes_on["problem"]),
        (&json!(true), &Value::Null)
    );
    let alive = json(&home, &["exec", &task, "echo", "alive"]);
    assert_eq!(
        (&alive["usage"]["out_of_memory"], &alive["stdout"]),
        (&json!(false), &json!("alive\n"))
    );

    // It is remembered: in the list and in the log.
    let listed = json(&home, &["executions", "list", &task, "--limit", "4"]);
    let listed: Vec<_> =
        (0..4_usize).map(|at| listed[at]["usage"]["out_of_memory"].clone()).collect();
    assert_eq!(listed, [json!(false), json!(true), json!(true), json!(true)]);
    let events = lines(&home, &["events", &task, "--match", "execution:finished"]);
    let logged: Vec<_> =
        events.iter().rev().map(|event| event["data"]["usage"]["out_of_memory"].clone()).collect();
    assert_eq!(logged[..4], listed);
}

/// A process that follows an execution, with what it shows.
struct Follower {
    program: Child,
    shown: [PathBuf; 2],
}

impl Follower {
    fn start(home: &Home, name: &str, task: &str, execution: &str) -> Self {
        let shown = ["out", "err"].map(|stream| home.user().join(format!("{name}.{stream}")));
        let [out, err] = shown.each_ref().map(|path| File::create(path).unwrap());
        let mut program = home.command(env!("CARGO_BIN_EXE_armor"));
        program.args(["executions", "logs", "--follow", task, execution]);
        let program = program.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
        Self { program, shown }
    }

    fn shown(&self) -> [String; 2] {
        self.shown.each_ref().map(|path| std::fs::read_to_string(path).unwrap())
    }

    /// Its exit code, and all that it has shown.
    fn end(mut self) -> (Option<i32>, [String; 2]) {
        (self.program.wait().unwrap().code(), self.shown())
    }
}

// R52
#[tokio::test]
async fn engine_all_who_follow_a_command_see_the_same_and_what_it_left_behind_is_kept() {
    require_engine!();
    let home = Home::new();
    let (task, workspace) = started_task(&home, &[]);
    let line = "(until test -e go; do sleep 0.02; done; echo late; echo late >&2) & i=0; while [ $i -lt 5000 ]; do echo $i; echo e$i >&2; i=$((i+1)); done; until test -e end; do sleep 0.02; done; echo end; exit 4";
    let begun = json(&home, &["exec", "--background", "--shell", &task, line]);
    let id = begun["execution_id"].as_str().unwrap();
    let numbers = |before: &str| -> String {
        (0..5000).map(|n| before.to_owned() + &n.to_string() + "\n").collect()
    };
    let (out, err) = (numbers("") + "end\n", numbers("e"));

    let early = Follower::start(&home, "early", &task, id);
    until("the early one shows nothing", || early.shown()[0].ends_with("4999\n"));
    let late = Follower::start(&home, "late", &task, id);
    until("the late one shows nothing", || late.shown()[0].ends_with("4999\n"));
    std::fs::write(workspace.join("end"), "").unwrap();
    for follower in [early, late] {
        let (code, shown) = follower.end();
        assert!(shown == [out.clone(), err.clone()], "{} bytes", shown[0].len());
        assert_eq!(code, Some(4));
    }

    // They end with the command. What it left behind goes on, and is found with the rest.
    std::fs::write(workspace.join("go"), "").unwrap();
    let (out, err) = (out + "late\n", err + "late\n");
    until("what was left behind is kept", || {
        let logs = armor(&home, &["executions", "logs", &task, id]);
        (logs.out.as_str(), logs.err.as_str()) == (out.as_str(), err.as_str())
    });
    let last = Follower::start(&home, "last", &task, id);
    assert!(last.end() == (Some(4), [out, err]));
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

// R52
#[tokio::test]
async fn engine_what_sandboxes_use_is_shown_again_and_again_until_ctrl_c() {
    require_engine!();
    let home = Home::new();
    let (task, _) = started_task(&home, &[]);
    let mut command = home.command(env!("CARGO_BIN_EXE_armor"));
    command.args(["--json", "stats", "--follow"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut follower = command.spawn().unwrap();
    let (sender, receiver) = mpsc::channel::<Value>();
    let stdout = BufReader::new(follower.stdout.take().unwrap());
    let reading = std::thread::spawn(move || {
        for line in stdout.lines() {
            // The test may have ended.
            let _read = sender.send(serde_json::from_str(&line.unwrap()).unwrap());
        }
    });
    for _ in 0..3 {
        let round = receiver.recv_timeout(LONG).unwrap();
        assert_eq!(round.as_array().unwrap().len(), 1, "{round:#}");
        assert_eq!(round[0]["task_id"], task.as_str(), "{round:#}");
        assert!(round[0]["memory_bytes"].as_u64().unwrap() > 0, "{round:#}");
    }
    let pid = follower.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    reading.join().unwrap();
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
