//! What a command reads while it runs, on its whole way: from the program's standard input (R52).

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use armor_testkit::{Home, require_engine};
use serde_json::Value;

use crate::output::{Hash, MOST_KIB, most_resident_kib};
use crate::support::{LONG, armor, started_task, until};

/// Starts the program with pipes for its standard input and output.
fn piped(home: &Home, arguments: &[&str]) -> Child {
    let mut program = home.command(env!("CARGO_BIN_EXE_armor"));
    program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    program.spawn().unwrap()
}

#[tokio::test]
async fn engine_a_line_is_read_when_it_is_typed_and_the_end_when_it_comes() {
    require_engine!();
    let home = Home::new();
    let (task, _) = started_task(&home, &[]);
    let mut program = piped(&home, &["exec", "--stdin", &task, "cat"]);
    let (mut typed, shown) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        for line in BufReader::new(shown).lines() {
            // The test may have ended.
            let _read = sender.send(line.unwrap());
        }
    });
    for line in ["one", "two", "three"] {
        writeln!(typed, "{line}").unwrap();
        assert_eq!(lines.recv_timeout(LONG).unwrap(), line);
    }
    drop(typed);
    assert_eq!(program.wait().unwrap().code(), Some(0));
    reading.join().unwrap();
}

#[tokio::test]
async fn engine_much_input_is_the_same_inside_as_outside_and_takes_little_memory() {
    require_engine!();
    let home = Home::new();
    let (task, _) = started_task(&home, &[]);
    let mut program = piped(&home, &["exec", "--stdin", &task, "sha256sum"]);
    let mut input = program.stdin.take().unwrap();
    let (mut hash, mut most) = (Hash::new(), 0);
    let mut piece: Vec<u8> = (0..251).cycle().take(1 << 20).collect();
    for n in 0..200 {
        // No piece is like another one.
        piece[0] = n;
        input.write_all(&piece).unwrap();
        hash.update(&piece);
        most = most.max(most_resident_kib(program.id()));
    }
    drop(input);
    let ended = program.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!((ended.status.code(), &said[..64]), (Some(0), hash.end().as_str()));
    assert!((1..=MOST_KIB).contains(&most), "it took {most} KiB");
}

#[tokio::test]
async fn engine_a_command_that_does_not_read_ends_though_the_input_does_not() {
    require_engine!();
    let home = Home::new();
    let (task, _) = started_task(&home, &[]);
    for (command, code) in [(&["true"][..], 0), (&["sh", "-c", "exec <&-; exit 7"][..], 7)] {
        let arguments = [&["exec", "--stdin", task.as_str(), "--"], command].concat();
        let program = RefCell::new(piped(&home, &arguments));
        until("it waits for its input", || program.borrow_mut().try_wait().unwrap().is_some());
        // Only now does the input end.
        let mut program = program.into_inner();
        drop(program.stdin.take());
        assert_eq!(program.wait().unwrap().code(), Some(code), "{command:?}");
    }
    // Nor does one that somebody goes on writing to.
    let mut endless = Command::new("yes").stdout(Stdio::piped()).spawn().unwrap();
    let mut program = home.command(env!("CARGO_BIN_EXE_armor"));
    program.args(["exec", "--stdin", &task, "head", "-c", "2"]);
    let ended = program.stdin(endless.stdout.take().unwrap()).output().unwrap();
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(0), &b"y\n"[..]));
    drop(program);
    endless.wait().unwrap();
}

#[tokio::test]
async fn engine_the_input_ends_with_the_program_that_passes_it_on() {
    require_engine!();
    let home = Home::new();
    let (task, workspace) = started_task(&home, &[]);
    let line = "cat > got; touch done";
    let mut program = piped(&home, &["exec", "--stdin", "--shell", &task, line]);
    let mut typed = program.stdin.take().unwrap();
    typed.write_all(b"so far").unwrap();
    let got = || std::fs::read_to_string(workspace.join("got")).unwrap_or_default();
    until("nothing arrives", || got() == "so far");
    program.kill().unwrap();
    program.wait().unwrap();
    until("it waits for more", || workspace.join("done").exists());
    assert_eq!(got(), "so far");
}

#[tokio::test]
async fn engine_a_command_in_the_background_has_all_of_its_input() {
    require_engine!();
    let home = Home::new();
    let (task, workspace) = started_task(&home, &[]);
    let file = home.user().join("input");
    std::fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
    let line = "until test -e go; do sleep 0.02; done; wc -c";
    let mut program = home.command(env!("CARGO_BIN_EXE_armor"));
    program.args(["--json", "exec", "--background", "--stdin", "--shell", &task, line]);
    let begun = program.stdin(File::open(&file).unwrap()).output().unwrap();
    let begun: Value = serde_json::from_slice(&begun.stdout).unwrap();
    let id = begun["execution_id"].as_str().unwrap();
    std::fs::write(workspace.join("go"), "").unwrap();
    let followed = armor(&home, &["executions", "logs", "--follow", &task, id]);
    assert_eq!((followed.code, followed.out.trim()), (0, "1048576"), "{followed:?}");
}
