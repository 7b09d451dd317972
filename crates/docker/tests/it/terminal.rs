//! Terminals (R52), with a runner in the sandbox and without one.

use std::time::Duration;

use armor_core::id::SandboxId;
use armor_core::sandbox::{
    CommandExit, NetworkMode, Runtime, Terminal, TerminalRequest, TerminalSize, paths,
};
use armor_testkit::require_engine;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::{Place, USER};

const LONG: Duration = Duration::from_mins(2);

async fn terminal(place: &Place, sandbox: &SandboxId, line: &str) -> Terminal {
    let request = TerminalRequest {
        execution: place.execution(),
        argv: ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
        cwd: paths::WORKSPACE.to_owned(),
        env: vec![("TERM".to_owned(), "dumb".to_owned())],
        user: USER,
        size: TerminalSize { columns: 101, rows: 37 },
    };
    place.runtime.terminal(sandbox, request).await.unwrap()
}

/// Reads until a text has come, and gives all that has.
async fn read_until(output: &mut (dyn AsyncRead + Send + Unpin), text: &str) -> String {
    let mut shown = String::new();
    let reading = async {
        while !shown.contains(text) {
            let mut piece = [0; 1024];
            let count = output.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "it ended after {shown:?}");
            shown.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    };
    timeout(LONG, reading).await.unwrap();
    shown
}

#[tokio::test]
async fn engine_a_terminal_has_its_size_is_typed_on_and_tells_the_exit_code() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        // A size comes by another way than what is typed; an engine gives the first one late.
        let until = |size| format!("until stty size 2>/dev/null | grep '{size}'; do :; done");
        let (first, second) = (until("37 101"), until("20 60"));
        let line = format!("{first}; tty; read typed; {second}; echo \"got $typed\"; exit 7");
        let mut terminal = terminal(&place, &sandbox, &line).await;
        let shown = read_until(&mut terminal.output, "/dev/pts/").await;
        assert!(shown.contains("37 101"), "{shown}");
        terminal.size.send(TerminalSize { columns: 60, rows: 20 }).unwrap();
        terminal.input.write_all(b"words\n").await.unwrap();
        let shown = read_until(&mut terminal.output, "got words").await;
        assert!(shown.contains("20 60"), "{shown}");
        drop(terminal.output);
        let end = timeout(LONG, terminal.end).await.unwrap().unwrap();
        assert_eq!(end.exit, CommandExit::Code(7));
    }
}

#[tokio::test]
async fn engine_what_runs_on_a_terminal_ends_with_it() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let mut terminal = terminal(&place, &sandbox, "sleep 4321 & echo begun; sleep 4321").await;
        read_until(&mut terminal.output, "begun").await;
        drop(terminal);
        let gone = async {
            while place.sh(&sandbox, "ps | grep -c '[s]leep 4321'").await.stdout != "0\n" {}
        };
        timeout(LONG, gone).await.unwrap();
    }
}
