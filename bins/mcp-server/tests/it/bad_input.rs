//! Bad input: each gives an error with a code and the next step, and the task is unharmed (R95).

use armor_testkit::{Home, McpClient, require_engine};
use serde_json::{Value, json};

use crate::support::{client, server};

async fn refused(server: &McpClient, tool: &str, arguments: Value, code: &str) -> Value {
    let error = server.fail(tool, arguments.clone()).await;
    assert_eq!(error["code"], code, "{tool} {arguments}: {error:#}");
    assert!(!error["message"].as_str().unwrap().is_empty());
    assert!(error["next_step"].is_string(), "{tool} {arguments}: {error:#}");
    error
}

#[tokio::test]
async fn engine_what_cannot_become_a_task_is_refused_and_leaves_nothing() {
    require_engine!();
    let home = Home::new();
    let repository = home.repository();
    let server = client(&home).await;
    let user = home.user();
    std::fs::write(user.join("file"), "").unwrap();
    std::fs::create_dir(user.join("plain")).unwrap();
    let inside = |name: &str| user.join(name).display().to_string();
    let create = async |mut arguments: Value, code: &str| {
        if arguments.get("name").is_none() {
            arguments["name"] = json!("a task");
        }
        refused(&server, "create_task_sandbox", arguments, code).await
    };
    create(json!({ "workspace": inside("missing") }), "workspace.missing").await;
    create(json!({ "workspace": inside("file") }), "workspace.not_a_directory").await;
    create(json!({ "workspace": inside("plain") }), "workspace.not_a_repository").await;
    create(json!({ "workspace": "/etc" }), "workspace.not_allowed").await;
    create(json!({ "workspace": inside("../..") }), "workspace.not_allowed").await;
    create(json!({ "image": "no-such-image:1" }), "image.not_found").await;
    create(json!({ "image": "bad image" }), "argument.invalid").await;
    create(json!({ "network": "host" }), "argument.invalid").await;
    create(json!({ "limits": { "pids": 1 } }), "argument.invalid").await;
    create(json!({ "limits": { "memory_mib": 8193 } }), "sandbox.refused").await;
    create(json!({ "limits": { "disk": 1 } }), "argument.unknown").await;
    // Also where all else could be had.
    let workspace = inside("project");
    for limit in ["memory_mib", "cpu_millis", "pids", "open_files", "tmp_mib"] {
        for value in [json!(0), json!(-1), json!(1_u64 << 32), json!(0.5), json!("much")] {
            let arguments = json!({ "workspace": workspace, "limits": { limit: value } });
            create(arguments, "argument.invalid").await;
        }
    }
    for limit in ["disk_mib", "swap_mib"] {
        let arguments = json!({ "workspace": workspace, "limits": { limit: 0 } });
        create(arguments, "argument.unknown").await;
    }
    // What a task may reach is not for agents to say.
    let allow = json!({ "workspace": workspace, "network": "egress", "allow": ["http://a"] });
    create(allow, "argument.unknown").await;
    create(json!({ "workspace": workspace, "network": "open" }), "network.refused").await;
    create(json!({ "workspace": workspace, "image": "no-such-image:1" }), "image.not_found").await;
    create(json!({ "name": "two\nlines" }), "task.invalid_name").await;
    create(json!({ "name": "x".repeat(10 * 1024) }), "task.invalid_name").await;
    create(json!({ "name": "" }), "task.invalid_name").await;
    create(json!({ "name": 7 }), "argument.invalid").await;
    create(json!({ "metadata": [1] }), "task.invalid_metadata").await;
    create(json!({ "metadata": { "x": "y".repeat(65 * 1024) } }), "task.invalid_metadata").await;
    create(json!({ "colour": "red" }), "argument.unknown").await;
    refused(&server, "create_task_sandbox", json!({}), "argument.missing").await;
    refused(&server, "no_such_tool", json!({}), "argument.unknown").await;

    let listed = server.call("list_tasks", json!({})).await;
    assert_eq!(listed["tasks"], json!([]));
    assert_eq!(repository.git(&["branch", "--list", "task/*"]), "");
    assert!(server.close().await.success());
    assert_eq!(home.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn engine_what_a_task_refuses_leaves_it_unharmed() {
    require_engine!();
    let home = Home::new();
    let server = client(&home).await;
    let first = server.call("create_task_sandbox", json!({ "name": "first" })).await;
    server.call("create_task_sandbox", json!({ "name": "twin" })).await;
    server.call("create_task_sandbox", json!({ "name": "twin" })).await;
    let id = first["task_id"].as_str().unwrap();
    let on = |task: &str, more: Value| {
        let mut arguments = json!({ "task_id": task });
        for (name, value) in more.as_object().unwrap() {
            arguments[name] = value.clone();
        }
        arguments
    };
    for (tool, more) in [
        ("attach_agent_to_task", json!({ "agent_id": "a" })),
        ("detach_agent_from_task", json!({})),
        ("execute_in_task", json!({ "command": "true" })),
        ("get_task_status", json!({})),
        ("create_checkpoint", json!({})),
        ("list_checkpoints", json!({})),
        ("restore_checkpoint", json!({ "checkpoint": "c" })),
        ("fork_task", json!({})),
        ("record_decision", json!({ "agent_id": "a", "what": "w" })),
        ("stop_task", json!({})),
        ("delete_task", json!({})),
    ] {
        refused(&server, tool, on("nobody", more.clone()), "task.not_found").await;
        let error = refused(&server, tool, on("twin", more), "task.ambiguous").await;
        assert_eq!(error["next_step"].as_str().unwrap().matches("(twin)").count(), 2, "{error:#}");
    }
    refused(&server, "execute_in_task", on(id, json!({ "command": "true" })), "task.not_running")
        .await;
    refused(&server, "detach_agent_from_task", on(id, json!({})), "task.not_attached").await;
    refused(&server, "attach_agent_to_task", on(id, json!({ "agent_id": "a b\n" })), "id.invalid")
        .await;
    let bad = on(id, json!({ "name": "../x" }));
    refused(&server, "create_checkpoint", bad, "argument.invalid").await;
    let none = on(id, json!({ "checkpoint": "none" }));
    refused(&server, "restore_checkpoint", none, "checkpoint.not_found").await;
    let outside = on(id, json!({ "checkpoint": "none", "path": "../x" }));
    refused(&server, "restore_checkpoint", outside, "path.outside").await;
    let empty = on(id, json!({ "agent_id": "a", "what": " " }));
    refused(&server, "record_decision", empty, "argument.invalid").await;
    refused(&server, "list_tasks", json!({ "status": "asleep" }), "argument.invalid").await;
    refused(&server, "list_tasks", json!({ "limit": 0 }), "argument.invalid").await;
    refused(&server, "list_tasks", json!({ "cursor": "../x" }), "cursor.invalid").await;
    let page = server.call("list_tasks", json!({ "limit": 1 })).await;
    let of_another_list = json!({ "status": "failed", "cursor": page["next_cursor"] });
    refused(&server, "list_tasks", of_another_list, "cursor.invalid").await;

    server.call("attach_agent_to_task", on(id, json!({ "agent_id": "a" }))).await;
    let other = on(id, json!({ "agent_id": "b" }));
    refused(&server, "attach_agent_to_task", other.clone(), "task.attached_elsewhere").await;
    refused(&server, "detach_agent_from_task", other, "task.attached_elsewhere").await;
    refused(&server, "delete_task", on(id, json!({})), "task.illegal_transition").await;

    let run = async |more: Value, code: &str| {
        refused(&server, "execute_in_task", on(id, more), code).await;
        let alive = on(id, json!({ "command": "echo alive" }));
        assert_eq!(server.call("execute_in_task", alive).await["stdout"], "alive\n");
    };
    run(json!({ "command": [] }), "argument.invalid").await;
    run(json!({ "command": "" }), "argument.invalid").await;
    run(json!({ "command": 5 }), "argument.invalid").await;
    run(json!({ "command": ["a\0b"] }), "argument.invalid").await;
    run(json!({ "command": ["no-such-program"] }), "execution.command_not_found").await;
    run(json!({ "command": "no-such-program" }), "execution.command_not_found").await;
    run(json!({ "command": ["/etc/passwd"] }), "execution.not_executable").await;
    run(json!({ "command": "/etc/passwd" }), "execution.not_executable").await;
    run(json!({ "command": "true", "cwd": "../.." }), "path.outside").await;
    run(json!({ "command": "true", "cwd": "no/such/folder" }), "argument.invalid").await;
    run(json!({ "command": "true", "env": { "A=B": "" } }), "argument.invalid").await;
    run(json!({ "command": "true", "timeout_ms": 0 }), "argument.invalid").await;
    run(json!({ "command": "sleep 100", "timeout_ms": 200 }), "execution.timed_out").await;

    server.call("stop_task", on(id, json!({}))).await;
    for (tool, more) in
        [("stop_task", json!({})), ("attach_agent_to_task", json!({ "agent_id": "a" }))]
    {
        refused(&server, tool, on(id, more), "task.illegal_transition").await;
    }
    refused(&server, "execute_in_task", on(id, json!({ "command": "true" })), "task.not_running")
        .await;
    assert!(server.close().await.success());
}

#[tokio::test]
async fn engine_output_of_100_mib_comes_back_cut_with_both_ends_and_a_note() {
    require_engine!();
    let home = Home::new();
    let server = client(&home).await;
    let task = server.call("create_task_sandbox", json!({ "name": "loud" })).await;
    let id = task["task_id"].clone();
    server.call("attach_agent_to_task", json!({ "task_id": id, "agent_id": "a" })).await;
    let command = "echo first; yes | head -c 104857600; echo last";
    let run = server.call("execute_in_task", json!({ "task_id": id, "command": command })).await;
    assert_eq!((run["exit_code"].clone(), run["truncated"].clone()), (json!(0), json!(true)));
    let stdout = run["stdout"].as_str().unwrap();
    assert!(stdout.starts_with("first\ny\n") && stdout.ends_with("y\nlast\n"));
    assert!(stdout.len() < 40 * 1024, "{}", stdout.len());
    let file = format!("/run/armor/executions/{}/stdout", run["execution_id"].as_str().unwrap());
    assert!(stdout.contains(&file));
    let rest = json!({ "task_id": id, "command": format!("wc -c < {file}; head -n 1 {file}; tail -n 1 {file}; echo x >> {file}") });
    let rest = server.call("execute_in_task", rest).await;
    let lines: Vec<_> = rest["stdout"].as_str().unwrap().lines().map(str::to_owned).collect();
    // 64 MiB are kept, and the end.
    assert!(lines[0].trim().parse::<u64>().unwrap() > 64 << 20, "{rest:#}");
    assert_eq!(lines[1..], ["first", "last"]);
    assert!(rest["stderr"].as_str().unwrap().contains("can't create"), "{rest:#}");
    assert!(server.close().await.success());
}

// R59: no engine is an error with the next step, and what needs no engine works.
#[tokio::test]
async fn without_an_engine_calls_say_what_is_missing_and_the_rest_works() {
    let home = Home::new().with("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let server = client(&home).await;
    let arguments = json!({ "name": "a task" });
    let error = refused(&server, "create_task_sandbox", arguments, "engine.unavailable").await;
    assert!(error["message"].as_str().unwrap().contains("/nowhere/docker.sock"), "{error:#}");
    assert!(error["next_step"].as_str().unwrap().contains("apt-get install docker.io"));
    assert_eq!(server.call("list_tasks", json!({})).await["tasks"], json!([]));
    assert!(server.close().await.success());
}

#[tokio::test]
async fn an_address_that_others_reach_is_refused() {
    let home = Home::new();
    let output = server(&home).args(["--http", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("not a loopback address"), "{errors}");
}
