//! A person's way through a task, and what goes wrong on it.

use armor_testkit::{Home, require_engine};
use serde_json::json;

use crate::support::{armor, json, lines, refused};

#[tokio::test]
async fn engine_a_task_goes_its_way_from_creation_to_clean_up() {
    require_engine!();
    let home = Home::new();
    let repository = home.repository();
    let path = repository.path().display().to_string();
    let created = json(
        &home,
        &[
            "create-task",
            "my task",
            "--request",
            "Sum the\ncommas.",
            "--workspace",
            &path,
            "--metadata",
            "{\"n\": 1}",
            "--pids",
            "64",
        ],
    );
    let id = created["task_id"].as_str().unwrap();
    assert_eq!((&created["status"], &created["owner"]), (&json!("pending"), &json!("tester")));
    assert_eq!(created["limits"]["pids"], 64);
    assert_eq!(created["request"], "Sum the\ncommas.");
    for (words, found) in [("commas", 1), ("COM* task", 1), ("periods", 0)] {
        let found_by = json(&home, &["find-task", words, "--status", "pending"]);
        assert_eq!(found_by["tasks"].as_array().unwrap().len(), found, "{words}");
    }

    // By name, by prefix, by id; the exit code is the command's.
    let said =
        armor(&home, &["exec", "my task", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (7, "out\n", "err\n"));
    let said = armor(
        &home,
        &["exec", &id[..20], "--shell", "--env", "A=1", "--cwd", "/tmp", "--", "echo $A $PWD"],
    );
    assert_eq!((said.code, said.out.as_str()), (0, "1 /tmp\n"));
    let mut piped = home.command(env!("CARGO_BIN_EXE_armor"));
    piped.args(["exec", id, "--stdin", "wc", "-c"]).stdin(std::process::Stdio::piped());
    piped.stdout(std::process::Stdio::piped());
    let mut piped = piped.spawn().unwrap();
    std::io::Write::write_all(&mut piped.stdin.take().unwrap(), &vec![b'x'; 100_000]).unwrap();
    assert_eq!(
        String::from_utf8(piped.wait_with_output().unwrap().stdout).unwrap().trim(),
        "100000"
    );

    let said = armor(&home, &["exec", id, "no-such-program"]);
    assert_eq!(said.code, 127);
    assert!(said.err.contains("[execution.command_not_found]"), "{said:?}");
    let said = armor(&home, &["exec", id, "--timeout-ms", "200", "sleep", "100"]);
    assert_eq!(said.code, 124);
    assert!(said.err.contains("[execution.timed_out]"), "{said:?}");

    let shown = json(&home, &["show", id]);
    assert_eq!(shown["task"]["status"], "running");
    assert_eq!(shown["executions"].as_array().unwrap().len(), 5);
    assert_eq!(shown["executions"][0]["agent_id"], "tester");
    let first = shown["executions"][4]["execution_id"].as_str().unwrap();
    let logs = armor(&home, &["logs", id, first]);
    assert_eq!((logs.out.as_str(), logs.err.as_str()), ("out\n", "err\n"));
    let listed = armor(&home, &["list-tasks", "--status", "running"]);
    assert!(listed.out.contains("my task") && listed.out.contains(id), "{listed:?}");

    assert_eq!(json(&home, &["detach", id])["status"], "running");
    armor(&home, &["exec", id, "true"]);
    let done = json(&home, &["complete-task", id, "--message", "fine", "--result", "[1, 2]"]);
    assert_eq!((&done["status"], &done["result"]), (&json!("completed"), &json!([1, 2])));
    // Nobody can be asked, so nothing is deleted.
    assert_eq!(refused(&home, &["cleanup-task", id], 2), "argument.invalid");
    let gone = armor(&home, &["cleanup-task", id, "--force"]);
    assert!(gone.out.contains("stays"), "{gone:?}");
    let events = lines(&home, &["events", id]);
    let names: Vec<_> = events.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names.first(), Some(&json!("task:created")));
    assert_eq!(names.last(), Some(&json!("task:deleted")));
    assert!(home.leftovers().await.is_empty());
}

#[tokio::test]
async fn engine_what_goes_wrong_is_told_with_code_exit_code_and_next_step() {
    require_engine!();
    let home = Home::new();
    std::fs::create_dir(home.user().join("plain")).unwrap();
    let plain = home.user().join("plain").display().to_string();
    json(&home, &["create-task", "twin"]);
    json(&home, &["create-task", "twin"]);
    for (arguments, exit, code) in [
        (&["show", "nobody"][..], 3, "task.not_found"),
        (&["show", "twin"][..], 3, "task.ambiguous"),
        (&["events", "nobody"][..], 3, "task.not_found"),
        (&["create-task", "a\nb"][..], 2, "task.invalid_name"),
        (&["create-task", "x", "--metadata", "[]"][..], 2, "task.invalid_metadata"),
        (&["create-task", "x", "--metadata", "{"][..], 2, "task.invalid_metadata"),
        (&["create-task", "x", "--workspace", "missing"][..], 3, "workspace.missing"),
        (&["create-task", "x", "--workspace", &plain][..], 3, "workspace.not_a_repository"),
        (&["create-task", "x", "--workspace", "/"][..], 4, "workspace.not_allowed"),
        (&["create-task", "x", "--image", "none:1"][..], 3, "image.not_found"),
        (&["create-task", "x", "--network", "host"][..], 2, "argument.invalid"),
        (&["create-task", "x", "--pids", "many"][..], 2, "argument.invalid"),
        (&["create-task", "x", "--pids", "4097"][..], 4, "sandbox.refused"),
        (
            &["create-task", "x", "--set", "policy.pids=100", "--pids", "513"][..],
            4,
            "sandbox.refused",
        ),
        (&["list-tasks", "--status", "asleep"][..], 2, "argument.invalid"),
        (&["image", "build", "none:1"][..], 3, "image.not_found"),
    ] {
        assert_eq!(refused(&home, arguments, exit), code, "{arguments:?}");
    }
    assert_eq!(json(&home, &["list-tasks"])["tasks"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn engine_the_demonstration_runs_and_leaves_nothing() {
    require_engine!();
    let home = Home::with_base_image();
    let said = armor(&home, &["demo"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("+Hello from the sandbox."), "{said:?}");
    assert!(said.out.contains("no network"), "{said:?}");
    assert!(said.out.contains("claude mcp add armor"), "{said:?}");
    assert!(said.err.contains("exit code 2"), "{said:?}");
    // R24: restored, the commit is there again; the fork has its file, and a branch of its own.
    assert!(said.err.contains("   restored: "), "{said:?}");
    assert_eq!(said.out.matches("Greet").count(), 2, "made, and shown again: {said:?}");
    assert_eq!(said.out.matches("\ntask/").count(), 1, "{said:?}");
    assert!(home.leftovers().await.is_empty());
    assert_eq!(std::fs::read_dir(home.user()).unwrap().count(), 0);
}
