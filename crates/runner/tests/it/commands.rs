//! Commands: started, limited, killed, reaped (R52).

use armor_runner::{Answer, Cause, NotStarted, Request};
use armor_testkit::require_engine;

use crate::support::{Ask, Sandbox, end_of, sh, text};

#[tokio::test]
async fn engine_a_command_gets_what_was_asked_for_and_its_end_is_told_and_noted() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let ask = Ask {
        cwd: Some("/tmp".to_owned()),
        env: vec![("OWN".to_owned(), "two words".to_owned())],
        stdin: Some(b"read this\n".to_vec()),
        ..sh("pwd; echo $OF_THE_IMAGE $OWN; cat; id -u; echo oops >&2; exit 7")
    };
    let ran = sandbox.run("e1", ask).await;
    assert_eq!(text(&ran.stdout), "/tmp\n1 two words\nread this\n10001\n");
    assert_eq!(text(&ran.stderr), "oops\n");
    assert_eq!((ran.end.cause, ran.end.code, ran.end.signal), (Cause::Exited, Some(7), None));
    assert_eq!((ran.end.stdout_bytes, ran.end.stderr_bytes), (33, 5));
    assert!(ran.end.usage.max_resident_bytes > 0);
    assert!(text(&sandbox.noted_end("e1")).contains(r#""cause":"exited","code":7"#));
    let ran = sandbox.run("e2", sh("cat; kill -SEGV $$")).await;
    assert_eq!((ran.end.code, ran.end.signal), (None, Some(11)));
    assert_eq!(ran.stdout, b"", "without a standard input there is nothing to read");
}

#[tokio::test]
async fn engine_what_cannot_be_started_says_why() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let program = |program: &str| Ask { argv: vec![program.to_owned()], ..Ask::default() };
    assert_eq!(sandbox.fail("e1", program("nonesuch")).await, NotStarted::NotFound);
    assert_eq!(sandbox.fail("e2", program("/none/such")).await, NotStarted::NotFound);
    assert_eq!(sandbox.fail("e3", program("/proc/version")).await, NotStarted::NotExecutable);
    assert_eq!(sandbox.fail("e4", program("/tmp")).await, NotStarted::NotExecutable);
    assert_eq!(sandbox.fail("e5", Ask::default()).await, NotStarted::NotFound);
    let nowhere = Ask { cwd: Some("/none".to_owned()), ..sh("true") };
    assert_eq!(sandbox.fail("e6", nowhere).await, NotStarted::NoDirectory);
    sandbox.until_empty().await;
}

// R52: a time limit with the whole process tree killed.
#[tokio::test]
async fn engine_a_time_limit_ends_the_command_with_all_that_came_of_it() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let tree = "trap '' TERM HUP; (setsid sh -c 'sleep 1000 & setsid sleep 1000' &) ; sleep 1000";
    let ran = sandbox.run("e1", Ask { limit_ms: Some(300), ..sh(tree) }).await;
    assert_eq!((ran.end.cause, ran.end.signal), (Cause::TimedOut, Some(9)));
    sandbox.until_empty().await;
}

#[tokio::test]
async fn engine_a_fork_bomb_is_killed_and_the_sandbox_goes_on() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    // A shell that cannot fork ends: the first one only waits.
    let bomb = "bomb() { bomb | bomb & bomb; }; (bomb 2>/dev/null &); while :; do :; done";
    let ran = sandbox.run("e1", Ask { limit_ms: Some(1_000), ..sh(bomb) }).await;
    assert_eq!(ran.end.cause, Cause::TimedOut);
    sandbox.until_empty().await;
    assert_eq!(text(&sandbox.run("e2", sh("echo still here")).await.stdout), "still here\n");
}

#[tokio::test]
async fn engine_commands_are_listed_watched_and_killed_by_others_and_outlive_who_started_them() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let (starter, answer) = sandbox.begin("e1", sh("echo begun; sleep 1000")).await;
    assert!(matches!(answer, Answer::Started { .. }));
    drop(starter);
    let (mut other, mut watcher) = (sandbox.connect().await, sandbox.connect().await);
    other.ask(&Request::List, &[]).await.unwrap();
    let running = vec!["e1".to_owned()];
    let there = Answer::Executions { running, left_behind: Vec::new() };
    assert_eq!(other.answer().await.unwrap(), there);
    let e1 = || "e1".to_owned();
    watcher.ask(&Request::Watch { execution: e1() }, &[]).await.unwrap();
    // At once, though it may have written nothing yet.
    let Answer::Progress { stdout_bytes: mut so_far, .. } = watcher.answer().await.unwrap() else {
        panic!("no progress");
    };
    while so_far < 6 {
        let Answer::Progress { stdout_bytes, .. } = watcher.answer().await.unwrap() else {
            panic!("no progress");
        };
        so_far = stdout_bytes;
    }
    other.ask(&Request::Kill { execution: e1() }, &[]).await.unwrap();
    assert_eq!(other.answer().await.unwrap(), Answer::Killing);
    assert_eq!(end_of(&mut watcher).await.cause, Cause::Killed);
    for gone in [Request::Watch { execution: e1() }, Request::Kill { execution: e1() }] {
        other.ask(&gone, &[]).await.unwrap();
        assert_eq!(other.answer().await.unwrap(), Answer::Unknown);
    }
    sandbox.until_empty().await;
}

#[tokio::test]
async fn engine_what_a_command_leaves_behind_goes_on_writing_and_is_reaped() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let line = "(while ! [ -e /tmp/go ]; do sleep 0.05; done; echo later) & echo now";
    let ran = sandbox.run("e1", sh(line)).await;
    assert_eq!(text(&ran.stdout), "now\n");
    // Orphans that end must not fill the sandbox's limit on processes.
    let orphans = "i=0; while [ $i -lt 200 ]; do (true &) ; i=$((i+1)); done; touch /tmp/go";
    assert_eq!(sandbox.run("e2", sh(orphans)).await.end.code, Some(0));
    sandbox.until_empty().await;
    let all = sandbox.ran("e1", ran.end);
    assert_eq!(text(&all.stdout), "now\nlater\n");
}

#[tokio::test]
async fn engine_what_a_command_leaves_behind_is_listed_and_killed() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let ask = Ask { limit_ms: Some(60_000), ..sh("setsid sleep 1000 >/dev/null 2>&1 &") };
    assert_eq!(sandbox.run("e1", ask).await.end.cause, Cause::Exited);
    let mut connection = sandbox.connect().await;
    connection.ask(&Request::List, &[]).await.unwrap();
    let there = Answer::Executions { running: Vec::new(), left_behind: vec!["e1".to_owned()] };
    assert_eq!(connection.answer().await.unwrap(), there);
    connection.ask(&Request::Kill { execution: "e1".to_owned() }, &[]).await.unwrap();
    assert_eq!(connection.answer().await.unwrap(), Answer::Killing);
    sandbox.until_empty().await;
}

#[tokio::test]
async fn engine_a_command_that_leaves_writers_behind_ends_all_the_same() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let ask = Ask { keep_bytes: Some(1_000), ..sh("yes & yes & yes & exit 3") };
    let ran = sandbox.run("e1", ask).await;
    assert_eq!((ran.end.cause, ran.end.code), (Cause::Exited, Some(3)));
    let mut connection = sandbox.connect().await;
    connection.ask(&Request::Kill { execution: "e1".to_owned() }, &[]).await.unwrap();
    assert_eq!(connection.answer().await.unwrap(), Answer::Killing);
    sandbox.until_empty().await;
}

#[tokio::test]
async fn engine_the_files_of_a_start_that_is_refused_are_not_those_of_the_next_one() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let (first, _) = sandbox.begin("e1", sh("sleep 1000")).await;
    let mut connection = sandbox.connect().await;
    // The files are made anew; the command of that name writes nothing.
    let refused = sandbox.begin_on(&mut connection, "e1", sh("echo no")).await;
    assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
    let started = sandbox.begin_on(&mut connection, "e2", sh("echo yes")).await;
    assert!(matches!(started, Answer::Started { .. }), "{started:?}");
    let end = end_of(&mut connection).await;
    assert_eq!(text(&sandbox.ran("e2", end.clone()).stdout), "yes\n");
    assert_eq!(text(&sandbox.ran("e1", end).stdout), "");
    drop(first);
}

#[tokio::test]
async fn engine_what_was_asked_for_just_before_the_host_left_is_carried_out() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    for turn in 0..20 {
        let (mut watcher, _) = sandbox.begin(&format!("e{turn}"), sh("sleep 1000")).await;
        let mut other = sandbox.connect().await;
        let kill = Request::Kill { execution: format!("e{turn}") };
        other.ask(&kill, &[]).await.unwrap();
        drop(other);
        assert_eq!(end_of(&mut watcher).await.cause, Cause::Killed);
    }
}

#[tokio::test]
async fn engine_a_time_limit_that_is_over_at_once_ends_a_command_with_a_large_environment() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    for turn in 0..20 {
        let env = vec![("LARGE".to_owned(), "x".repeat(100_000))];
        let ask = Ask { env, limit_ms: Some(1), ..sh("sleep 1000") };
        let (mut connection, answer) = sandbox.begin(&format!("e{turn}"), ask).await;
        assert!(matches!(answer, Answer::Started { .. }), "{answer:?}");
        assert_eq!(end_of(&mut connection).await.cause, Cause::TimedOut);
    }
}

#[tokio::test]
async fn engine_running_out_of_memory_is_told() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let ran = sandbox.run("e1", sh("x=$(tail /dev/zero); echo $x")).await;
    assert!(ran.end.out_of_memory, "{ran:?}");
    assert!(!sandbox.run("e2", sh("true")).await.end.out_of_memory);
}

#[tokio::test]
async fn engine_stopping_the_sandbox_ends_its_commands_and_notes_it() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let (mut connection, _) = sandbox.begin("e1", sh("trap '' TERM; echo on; sleep 1000")).await;
    sandbox.stop().await;
    assert_eq!(end_of(&mut connection).await.cause, Cause::Stopped);
    assert!(text(&sandbox.noted_end("e1")).contains("stopped"));
    assert!(!sandbox.is_running().await);
}
