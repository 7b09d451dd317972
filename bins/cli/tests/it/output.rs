//! Much output, on its whole way: from a command onto the disk and through the program (R52).

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use armor_testkit::{Home, require_engine};
use serde_json::json;

use crate::support::{armor, json, started_task};

/// What the program may take of the memory, whatever goes through it.
pub(crate) const MOST_KIB: u64 = 100 << 10;

/// The SHA-256 of what is written to it, by the program that sandboxes have, too.
pub(crate) struct Hash(Child);

impl Hash {
    pub(crate) fn new() -> Self {
        let mut program = Command::new("sha256sum");
        program.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(program.spawn().unwrap())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub(crate) fn end(self) -> String {
        let said = self.0.wait_with_output().unwrap();
        String::from_utf8(said.stdout).unwrap()[..64].to_owned()
    }
}

/// What came of the program's standard output.
#[derive(Debug, PartialEq, Eq)]
struct Streamed {
    bytes: u64,
    sha256: String,
}

/// Runs the program, reads what it writes to standard output as it comes, and sees to it that the
/// program never has more than its share of the memory.
fn streamed(home: &Home, arguments: &[&str]) -> Streamed {
    let mut command = home.command(env!("CARGO_BIN_EXE_armor"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = command.spawn().unwrap();
    let mut output = program.stdout.take().unwrap();
    let (mut hash, mut bytes, mut most) = (Hash::new(), 0, 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = output.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        most = most.max(most_resident_kib(program.id()));
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
    let ended = program.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), &*said), (Some(0), ""), "{arguments:?}");
    assert!((1..=MOST_KIB).contains(&most), "{arguments:?} took {most} KiB");
    Streamed { bytes, sha256: hash.end() }
}

/// The most resident memory that a process has had so far; nothing is told of one that has ended.
pub(crate) fn most_resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().unwrap())
}

/// Runs the program, and gives what it writes to both of its streams as one text, in the order in
/// which it does.
fn in_order(home: &Home, arguments: &[&str]) -> String {
    let path = home.user().join("shown");
    let shown = File::create(&path).unwrap();
    let mut command = home.command(env!("CARGO_BIN_EXE_armor"));
    command.args(arguments).stdin(Stdio::null());
    command.stdout(shown.try_clone().unwrap()).stderr(shown);
    assert!(command.status().unwrap().success(), "{arguments:?}");
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn engine_one_line_of_100_mib_comes_back_whole_and_takes_little_memory() {
    require_engine!();
    let home = Home::new().with("ARMOR_EXECUTION_KEEP_MIB", "128");
    let (task, _) = started_task(&home, &[]);
    let mut hash = Hash::new();
    for _ in 0..100 {
        hash.update(&vec![b'a'; 1 << 20]);
    }
    hash.update(b"\n");
    let wanted = Streamed { bytes: (100 << 20) + 1, sha256: hash.end() };
    let line = "head -c 104857600 /dev/zero | tr '\\0' a; echo";
    // As it comes, as it is kept, and to whoever asks to follow what has ended.
    assert_eq!(streamed(&home, &["exec", "--shell", &task, line]), wanted);
    assert_eq!(streamed(&home, &["executions", "logs", &task]), wanted);
    assert_eq!(streamed(&home, &["executions", "logs", "--follow", &task]), wanted);
}

#[tokio::test]
async fn engine_a_quarter_of_a_gibibyte_of_noise_is_the_same_outside_as_inside() {
    require_engine!();
    let home = Home::new().with("ARMOR_EXECUTION_KEEP_MIB", "256");
    let (task, workspace) = started_task(&home, &[]);
    let make = "head -c 268435456 /dev/urandom > noise; sha256sum noise | cut -c 1-64";
    let made = armor(&home, &["exec", "--shell", &task, make]);
    assert_eq!(made.code, 0, "{made:?}");
    let wanted = Streamed { bytes: 256 << 20, sha256: made.out.trim().to_owned() };
    assert_eq!(streamed(&home, &["exec", &task, "cat", "noise"]), wanted);
    assert_eq!(streamed(&home, &["executions", "logs", &task]), wanted);
    // Whoever gets only an excerpt is told so.
    let shown = armor(&home, &["--json", "exec", &task, "cat", "noise"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((&shown["exit_code"], &shown["truncated"]), (&json!(0), &json!(true)));
    std::fs::remove_file(workspace.join("noise")).unwrap();
}

#[tokio::test]
async fn engine_both_streams_come_back_in_the_order_in_which_they_were_written() {
    require_engine!();
    // With a program in its image that writes each line by one call.
    let home = Home::with_base_image();
    let (task, _) = started_task(&home, &[]);
    // It writes on when the line before has arrived: two pipes have no order between each other that
    // anybody could see who reads them later.
    let paced = "
        const fs = require('fs');
        const folder = `/run/armor/executions/${process.env.ARMOR_EXECUTION_ID}`;
        const written = [0, 0];
        for (let n = 0; n < 2000; n++) {
            const to = n % 2;
            written[to] += fs.writeSync(to + 1, `${n}\\n`);
            while (fs.statSync(`${folder}/${['stdout', 'stderr'][to]}`).size < written[to]) {}
        }";
    assert_eq!(armor(&home, &["exec", &task, "node", "-e", paced]).code, 0);
    let lines: Vec<_> = (0..2000).map(|n| format!("{n}\n")).collect();
    assert_eq!(in_order(&home, &["executions", "logs", &task]), lines.concat());

    // One that does not wait: each stream is whole and in its order.
    let hasty = "
        const fs = require('fs');
        for (let n = 0; n < 2000; n++) fs.writeSync(n % 2 + 1, `${n}\\n`);";
    assert_eq!(armor(&home, &["exec", &task, "node", "-e", hasty]).code, 0);
    let logs = armor(&home, &["executions", "logs", &task]);
    let of = |stream| lines.iter().skip(stream).step_by(2).cloned().collect::<String>();
    assert_eq!((logs.out, logs.err), (of(0), of(1)));
    let listed = json(&home, &["executions", "list", &task]);
    assert_eq!((&listed[0]["status"], &listed[0]["exit_code"]), (&json!("exited"), &json!(0)));
}
