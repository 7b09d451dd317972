//! A shell on a terminal of the test's own: job control, and sizes that change (R52).

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::time::Instant;

use armor_testkit::{Home, require_engine};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::{LONG, armor, json, started_task, until};

/// The program on a terminal, and the test in front of that.
struct Terminal {
    program: Child,
    front: File,
    /// What is shown. It is read on a thread of its own, so that nobody waits for ever.
    shown: mpsc::Receiver<u8>,
}

impl Terminal {
    fn start(home: &Home, arguments: &[&str], columns: u16, rows: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let front = openpt(flags).unwrap();
        grantpt(&front).unwrap();
        unlockpt(&front).unwrap();
        let back = ioctl_tiocgptpeer(&front, flags).unwrap();
        let front = File::from(front);
        resize(&front, columns, rows);
        // It becomes the program itself, which so hears of what is typed and of sizes.
        let mut command = home.command("setsid");
        command.arg("--ctty").arg(env!("CARGO_BIN_EXE_armor")).args(arguments);
        command.env("TERM", "dumb");
        command.stdin(back.try_clone().unwrap()).stdout(back.try_clone().unwrap()).stderr(back);
        let program = command.spawn().unwrap();
        let (sender, shown) = mpsc::channel();
        let reader = BufReader::new(front.try_clone().unwrap());
        std::thread::spawn(move || {
            // It fails when nobody has the other end any more.
            for byte in reader.bytes().map_while(Result::ok) {
                if sender.send(byte).is_err() {
                    break;
                }
            }
        });
        Self { program, front, shown }
    }

    fn resize(&self, columns: u16, rows: u16) {
        resize(&self.front, columns, rows);
    }

    fn write(&mut self, text: &str) {
        self.front.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until something has been shown, and gives all up to there.
    fn until(&self, wanted: &str) -> String {
        let mut shown = String::new();
        while !shown.ends_with(wanted) {
            match self.shown.recv_timeout(LONG) {
                Ok(byte) => shown.push(char::from(byte)),
                Err(error) => panic!("{error} behind {shown:?}, before {wanted:?}"),
            }
        }
        shown
    }

    /// Lets the shell run a line, and gives what is shown up to the line's end.
    fn run(&mut self, line: &str) -> String {
        // What is typed is shown, too, and is not to be taken for what it does.
        self.write(&format!("{line}; echo li''ne do''ne\n"));
        self.until("line done\r\n")
    }

    fn end(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.program.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < LONG, "it does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _killed = self.program.kill();
        let _ended = self.program.wait();
    }
}

/// Whoever runs in front of a terminal is told of its new size by the kernel.
fn resize(front: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(front, size).unwrap();
}

/// The `sleep` of a sandbox, as its kernel sees it: its state, and whether it runs in front of its
/// terminal.
fn sleeper(home: &Home, task: &str) -> Option<(String, bool)> {
    let all = armor(home, &["exec", "--shell", task, "cat /proc/[0-9]*/stat"]).out;
    let line = all.lines().find(|line| line.contains(" (sleep) "))?;
    // State, parent, group, session, terminal, and the group in front of that.
    let fields: Vec<_> = line.rsplit_once(") ").unwrap().1.split(' ').collect();
    Some((fields[0].to_owned(), fields[2] == fields[5]))
}

#[tokio::test]
async fn engine_a_shell_stops_continues_and_interrupts_its_jobs() {
    require_engine!();
    let home = Home::new();
    let (task, _) = started_task(&home, &[]);
    let is =
        |state: &str, in_front: bool| sleeper(&home, &task) == Some((state.to_owned(), in_front));
    let mut shell = Terminal::start(&home, &["shell", &task], 101, 33);
    shell.run("true");
    shell.write("sleep 1000\n");
    until("it does not run in front", || is("S", true));
    // Ctrl-Z.
    shell.write("\x1a");
    until("it does not stop", || is("T", false));
    shell.run("true");
    let jobs = shell.run("jobs");
    assert!(jobs.contains("Stopped") && jobs.contains("sleep 1000"), "{jobs:?}");
    shell.write("bg\n");
    until("it does not go on in the background", || is("S", false));
    shell.run("true");
    let jobs = shell.run("jobs");
    assert!(jobs.contains("Running") && !jobs.contains("Stopped"), "{jobs:?}");
    shell.write("fg\n");
    until("it does not come to the front", || is("S", true));
    // Ctrl-C ends it, and not the shell.
    shell.write("\x03");
    until("it does not end", || sleeper(&home, &task).is_none());
    let code = shell.run("echo code $?");
    assert!(code.contains("code 130\r\n"), "{code:?}");
    assert!(!shell.run("jobs").contains("sleep 1000"));
    shell.write("exit 5\n");
    assert_eq!(shell.end().code(), Some(5));
}

/// Waits in the shell until its terminal has this size.
fn until_size(shell: &mut Terminal, columns: u16, rows: u16) {
    shell.run(&format!("until stty size | grep -q '^{rows} {columns}$'; do sleep 0.02; done"));
}

#[tokio::test]
async fn engine_a_shell_hears_of_every_size_that_its_terminal_takes() {
    require_engine!();
    let home = Home::new();
    let (task, _) = started_task(&home, &[]);
    let mut shell = Terminal::start(&home, &["shell", &task], 101, 33);
    until_size(&mut shell, 101, 33);
    shell.resize(60, 20);
    until_size(&mut shell, 60, 20);
    // Of many at once, the last one counts.
    for columns in 61..=90 {
        shell.resize(columns, 25);
    }
    until_size(&mut shell, 90, 25);
    shell.write("exit\n");
    assert_eq!(shell.end().code(), Some(0));
}

// A person does not wait with that until the shell is there.
#[tokio::test]
async fn engine_a_size_that_a_terminal_takes_while_the_sandbox_starts_is_the_shells() {
    require_engine!();
    let home = Home::new();
    let task = json(&home, &["create-task", "t"])["task_id"].as_str().unwrap().to_owned();
    let mut shell = Terminal::start(&home, &["shell", &task], 101, 33);
    let sockets = home.path().join("runners/sockets").join(&task);
    until("its sandbox does not start", || sockets.exists());
    shell.resize(60, 20);
    until_size(&mut shell, 60, 20);
    shell.write("exit\n");
    assert_eq!(shell.end().code(), Some(0));
}
