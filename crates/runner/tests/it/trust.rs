//! What keeps the runner apart from the commands, which have the same user (R97).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use armor_runner::{Answer, Cause, Connection, RunnerError, SOCKET};
use armor_testkit::require_engine;

use crate::support::{Ask, IDLE, Sandbox, end_of, sh, text};

#[tokio::test]
async fn engine_no_command_can_end_or_look_into_the_runner() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let line = "kill 1; kill -INT 1; kill -9 1; kill -STOP 1
        for f in environ mem maps fd/0 cwd; do cat /proc/1/$f; done; ls /proc/1/fd
        echo x > /proc/1/mem; echo done";
    let ran = sandbox.run("e1", sh(line)).await;
    assert_eq!(text(&ran.stdout), "done\n");
    assert_eq!(text(&ran.stderr).matches("ermission denied").count(), 7, "{}", text(&ran.stderr));
    assert!(sandbox.is_running().await);
    assert_eq!(text(&sandbox.run("e2", sh("echo on")).await.stdout), "on\n");
}

#[tokio::test]
async fn engine_no_command_can_look_into_a_supervisor() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let line = "for f in environ mem maps fd/0 cwd; do cat /proc/$PPID/$f; done; ls /proc/$PPID/fd";
    let ran = sandbox.run("e1", sh(line)).await;
    assert_eq!(text(&ran.stderr).matches("ermission denied").count(), 6, "{}", text(&ran.stderr));
}

#[tokio::test]
async fn engine_a_supervisor_holds_nothing_of_the_runners() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let mut other = UnixStream::connect(sandbox.shared().join(SOCKET)).unwrap();
    other.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut hello = [0; 4];
    other.read_exact(&mut hello).unwrap();
    let (_connection, answer) = sandbox.begin("e1", sh("sleep 1000")).await;
    assert!(matches!(answer, Answer::Started { .. }), "{answer:?}");
    // No message: the runner hangs up, which shows when nobody else has the connection.
    other.write_all(&[255; 8]).unwrap();
    other.read_to_end(&mut Vec::new()).unwrap();
}

#[tokio::test]
async fn engine_the_output_on_the_host_has_no_path_inside() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let line = "find / -name stdout -o -name end 2>/dev/null | grep -v '^/sys\\|^/dev\\|^/proc'; \
        ls /proc/self/fd";
    let ran = sandbox.run("e1", sh(line)).await;
    // Nothing but its own streams, and what `ls` opens.
    assert_eq!(text(&ran.stdout), "0\n1\n2\n3\n");
}

#[tokio::test]
async fn engine_a_process_of_the_sandbox_is_not_served_at_the_socket() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let line = format!("nc local:/run/armor/host/{SOCKET} </dev/null; echo ended $?");
    let ran = sandbox.run("e1", sh(&line)).await;
    assert!(!text(&ran.stdout).contains("protocol"), "{ran:?}");
}

#[tokio::test]
async fn engine_a_socket_that_was_replaced_is_not_trusted() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let other = Sandbox::start().await;
    let error = Connection::open(&other.shared(), sandbox.first()).await.unwrap_err();
    assert!(matches!(error, RunnerError::Replaced), "{error}");
    sandbox.run("e1", sh(&format!("rm /run/armor/host/{SOCKET}"))).await;
    let error = Connection::open(&sandbox.shared(), sandbox.first()).await.unwrap_err();
    assert!(matches!(error, RunnerError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn engine_a_command_whose_supervisor_is_killed_is_lost_and_so_is_all_that_came_of_it() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let line = "(setsid sleep 1000 &); sleep 1000 & kill -9 $PPID; sleep 1000";
    let ran = sandbox.run("e1", sh(line)).await;
    assert_eq!((ran.end.cause, ran.end.code), (Cause::Lost, None));
    sandbox.until_empty().await;
    assert_eq!(text(&sandbox.run("e2", sh("echo on")).await.stdout), "on\n");
}

#[tokio::test]
async fn engine_stopping_the_supervisor_does_not_lift_the_time_limit() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let line = "(setsid sleep 1000 &); sleep 1000 & kill -STOP $PPID; sleep 1000";
    let ran = sandbox.run("e1", Ask { limit_ms: Some(300), ..sh(line) }).await;
    assert_eq!((ran.end.cause, ran.end.code), (Cause::TimedOut, None));
    sandbox.until_empty().await;
}

#[tokio::test]
async fn engine_what_an_ended_command_left_goes_with_its_supervisor() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let ran = sandbox.run("e1", sh("setsid sleep 1000 & echo $PPID")).await;
    let line = format!("kill -9 {}", text(&ran.stdout).trim());
    assert_eq!(sandbox.run("e2", sh(&line)).await.end.code, Some(0));
    sandbox.until_empty().await;
}

#[tokio::test]
async fn engine_nobody_can_write_to_what_another_command_reads() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let ask = Ask { stdin: Some(b"mine".to_vec()), ..sh("echo x 1<>/proc/self/fd/0; cat") };
    assert_eq!(text(&sandbox.run("e1", ask).await.stdout), "mine");
}

#[tokio::test]
async fn engine_a_runner_without_a_descriptor_left_refuses_commands_and_ends_what_it_has_to() {
    require_engine!();
    let sandbox = Sandbox::start_with(Some(64)).await;
    let line = "(setsid sleep 1000 &); sleep 1000 & kill -STOP $PPID; sleep 1000";
    let ask = Ask { limit_ms: Some(2_000), ..sh(line) };
    let (mut watching, answer) = sandbox.begin("e1", ask).await;
    assert!(matches!(answer, Answer::Started { .. }), "{answer:?}");
    let mut last = sandbox.connect().await;
    let mut held = Vec::new();
    while let Ok(connection) = Connection::open(&sandbox.shared(), sandbox.first()).await {
        held.push(connection);
        assert!(held.len() < 64);
    }
    let answer = sandbox.begin_on(&mut last, "e2", sh("true")).await;
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    // Its supervisor stands still, so what came of it has to be looked for.
    assert_eq!(end_of(&mut watching).await.cause, Cause::TimedOut);
    assert_eq!(sandbox.processes().await, IDLE);
    drop(held);
    assert_eq!(text(&sandbox.run("e3", sh("echo on")).await.stdout), "on\n");
}
