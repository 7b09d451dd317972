//! A real terminal.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use armor_runner::{Answer, Cause, Connection, Io, Request, Size, Start};
use armor_testkit::require_engine;

use crate::support::{Sandbox, end_of};

#[tokio::test]
async fn engine_a_shell_on_a_terminal_has_its_size_job_control_and_ctrl_c() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let mut connection = on_a_terminal(&sandbox, &["/bin/sh", "-i"]).await;
    let mut terminal = Terminal::new(connection.descriptor().unwrap().into());

    // What is sent before the program runs in front would reach the shell itself.
    terminal.write("stty size; tty; sh -c 'echo in front; exec sleep 1000'\n");
    let said = terminal.until("\nin front\r\n");
    assert!(said.contains("45 123\r\n/dev/pts/0\r\n"), "{said}");
    // Ctrl-C ends what runs in front, not the shell.
    terminal.write("\x03");
    terminal.until("^C");
    terminal.until("$ ");
    terminal.write("echo code $?; exit 5\n");
    terminal.until("code 130\r\n");
    let end = end_of(&mut connection).await;
    assert_eq!((end.cause, end.code), (Cause::Exited, Some(5)));
    sandbox.until_empty().await;
}

/// Starts `shell`, and gives the connection that has its terminal.
async fn on_a_terminal(sandbox: &Sandbox, argv: &[&str]) -> Connection {
    let start = Start {
        execution: "shell".to_owned(),
        argv: argv.iter().map(|part| (*part).to_owned()).collect(),
        cwd: "/tmp".to_owned(),
        env: Vec::new(),
        limit_ms: None,
        io: Io::Terminal(Size { columns: 123, rows: 45 }),
    };
    let mut connection = sandbox.connect().await;
    connection.ask(&Request::Start(start), &[]).await.unwrap();
    assert!(matches!(connection.answer().await.unwrap(), Answer::Started { .. }));
    connection
}

/// The host's end of a terminal. It is read on a thread of its own, so that nobody waits for ever.
struct Terminal {
    file: File,
    said: mpsc::Receiver<u8>,
}

impl Terminal {
    fn new(file: File) -> Self {
        let (sender, said) = mpsc::channel();
        let reader = file.try_clone().unwrap();
        std::thread::spawn(move || {
            for byte in BufReader::new(reader).bytes().map_while(Result::ok) {
                if sender.send(byte).is_err() {
                    break;
                }
            }
        });
        Self { file, said }
    }

    fn write(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until something has been said, and gives all up to there.
    fn until(&self, wanted: &str) -> String {
        let mut said = String::new();
        while !said.ends_with(wanted) {
            match self.said.recv_timeout(Duration::from_secs(30)) {
                Ok(byte) => said.push(char::from(byte)),
                Err(error) => panic!("{error} behind {said:?}, before {wanted:?}"),
            }
        }
        said
    }
}

#[tokio::test]
async fn engine_a_shell_goes_with_the_host_that_has_its_terminal() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let line = "trap '' HUP; sleep 1000";
    let connection = on_a_terminal(&sandbox, &["/bin/sh", "-c", line]).await;
    // Whoever only watches may come and go.
    let mut watcher = sandbox.connect().await;
    let watch = Request::Watch { execution: "shell".to_owned() };
    watcher.ask(&watch, &[]).await.unwrap();
    drop(watcher);
    let mut asking = sandbox.connect().await;
    asking.ask(&Request::List, &[]).await.unwrap();
    let running = vec!["shell".to_owned()];
    let there = Answer::Executions { running, left_behind: Vec::new() };
    assert_eq!(asking.answer().await.unwrap(), there);
    drop(connection);
    sandbox.until_empty().await;
}
