//! Signals to commands (R52).

use std::fs::File;
use std::os::fd::AsFd;

use armor_runner::{Answer, Cause, Connection, Request, Signal};
use armor_testkit::require_engine;

use crate::support::{Ask, Sandbox, end_of, sh, text};

async fn send(connection: &mut Connection, execution: &str, signal: Signal) -> Answer {
    let execution = execution.to_owned();
    connection.ask(&Request::Signal { execution, signal }, &[]).await.unwrap();
    connection.answer().await.unwrap()
}

/// Waits until a command that is watched has written so many bytes to standard output.
async fn writes(connection: &mut Connection, bytes: u64) {
    loop {
        match connection.answer().await.unwrap() {
            Answer::Progress { stdout_bytes, .. } if stdout_bytes >= bytes => return,
            Answer::Progress { .. } => {}
            answer => panic!("{answer:?}"),
        }
    }
}

#[tokio::test]
async fn engine_a_signal_reaches_the_group_of_a_command_and_nobody_else() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    // One that has left the group goes on.
    let line = "setsid sh -c 'echo $$ > /tmp/apart; exec sleep 1000' & \
        sh -c 'echo $$ > /tmp/within; exec sleep 1000' & \
        until test -s /tmp/apart -a -s /tmp/within; do sleep 0.02; done; \
        trap 'echo heard; exit 7' USR1; echo begun; wait";
    let (mut watcher, answer) = sandbox.begin("e1", sh(line)).await;
    assert!(matches!(answer, Answer::Started { .. }), "{answer:?}");
    let (mut beside, _) = sandbox.begin("e2", sh("echo begun; exec sleep 1000")).await;
    writes(&mut watcher, 6).await;
    writes(&mut beside, 6).await;
    let mut other = sandbox.connect().await;
    assert_eq!(send(&mut other, "e1", Signal::Usr1).await, Answer::Signalled);
    let end = end_of(&mut watcher).await;
    assert_eq!((end.cause, end.code), (Cause::Exited, Some(7)));
    assert_eq!(text(&sandbox.ran("e1", end).stdout), "begun\nheard\n");
    let look = "kill -0 $(cat /tmp/apart) && echo there; \
        while kill -0 $(cat /tmp/within) 2>/dev/null; do sleep 0.02; done";
    let looked = sandbox.run("e3", Ask { limit_ms: Some(30_000), ..sh(look) }).await;
    assert_eq!((looked.end.cause, text(&looked.stdout)), (Cause::Exited, "there\n"));

    // What has ended hears no more, whatever it has left behind; nor does what never was.
    for nobody in ["e1", "e3", "none"] {
        assert_eq!(send(&mut other, nobody, Signal::Term).await, Answer::Unknown, "{nobody}");
    }
    assert_eq!(send(&mut other, "e2", Signal::Term).await, Answer::Signalled);
    let end = end_of(&mut beside).await;
    assert_eq!((end.cause, end.code, end.signal), (Cause::Exited, None, Some(15)));
}

#[tokio::test]
async fn engine_a_command_stands_still_goes_on_and_can_be_killed_in_between() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let line = "trap 'echo heard' INT; echo begun; while :; do sleep 0.02; done";
    let (mut watcher, answer) = sandbox.begin("e1", sh(line)).await;
    let Answer::Started { pid } = answer else { panic!("{answer:?}") };
    writes(&mut watcher, 6).await;
    let mut other = sandbox.connect().await;
    let mut turn = 0;
    let mut until_state = async |state: &str| loop {
        turn += 1;
        let look = format!("grep State: /proc/{pid}/status");
        let found = sandbox.run(&format!("look{turn}"), sh(&look)).await;
        if text(&found.stdout).contains(state) {
            break;
        }
    };
    assert_eq!(send(&mut other, "e1", Signal::Stop).await, Answer::Signalled);
    until_state("T (stopped)").await;
    // It hears what came meanwhile when it goes on.
    assert_eq!(send(&mut other, "e1", Signal::Int).await, Answer::Signalled);
    assert_eq!(send(&mut other, "e1", Signal::Cont).await, Answer::Signalled);
    writes(&mut watcher, 12).await;
    assert_eq!(send(&mut other, "e1", Signal::Stop).await, Answer::Signalled);
    until_state("T (stopped)").await;
    other.ask(&Request::Kill { execution: "e1".to_owned() }, &[]).await.unwrap();
    assert_eq!(other.answer().await.unwrap(), Answer::Killing);
    assert_eq!(end_of(&mut watcher).await.cause, Cause::Killed);
    sandbox.until_empty().await;
}

#[tokio::test]
async fn engine_what_a_runner_does_not_know_is_refused_and_its_files_are_no_others() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let mut connection = sandbox.connect().await;
    let along = File::open("/dev/null").unwrap();
    connection.ask(&Request::Other, &[along.as_fd()]).await.unwrap();
    let answer = connection.answer().await.unwrap();
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    let answer = sandbox.begin_on(&mut connection, "e1", sh("echo on")).await;
    assert!(matches!(answer, Answer::Started { .. }), "{answer:?}");
    let end = end_of(&mut connection).await;
    assert_eq!(text(&sandbox.ran("e1", end).stdout), "on\n");
}
