//! Running the program in a temporary home.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use armor_testkit::Home;
use serde_json::Value;

/// How long something that is sure to come may take.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// What a run of the program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs the program.
pub(crate) fn armor(home: &Home, arguments: &[&str]) -> Said {
    let mut command = home.command(env!("CARGO_BIN_EXE_armor"));
    command.args(arguments).stdin(std::process::Stdio::null());
    command.output().unwrap().into()
}

/// Waits until something is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let give_up = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < give_up, "{what}");
        // What is waited for needs the processor, too.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A task with somebody attached, and where its sandbox's workspace is on the host.
pub(crate) fn started_task(home: &Home, arguments: &[&str]) -> (String, PathBuf) {
    let task = json(home, &[&["create-task", "t"], arguments].concat());
    let task = task["task_id"].as_str().unwrap().to_owned();
    assert_eq!(armor(home, &["exec", &task, "true"]).code, 0);
    let workspace = home.path().join("tasks").join(&task).join("workspace");
    (task, workspace)
}

/// Runs the program with `--json`; it has to end well.
pub(crate) fn json(home: &Home, arguments: &[&str]) -> Value {
    let said = armor(home, &[&["--json"], arguments].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    serde_json::from_str(&said.out).unwrap()
}

/// Runs the program with `--json`, which gives a line of JSON for each entry.
pub(crate) fn lines(home: &Home, arguments: &[&str]) -> Vec<Value> {
    let said = armor(home, &[&["--json"], arguments].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs the program, which is to fail, and gives the error's code, with and without `--json`.
pub(crate) fn refused(home: &Home, arguments: &[&str], exit: i32) -> String {
    let plain = armor(home, arguments);
    assert_eq!((plain.code, plain.out.as_str()), (exit, ""), "{arguments:?}: {plain:?}");
    let said = armor(home, &[&["--json"], arguments].concat());
    assert_eq!((said.code, said.out.as_str()), (exit, ""), "{arguments:?}: {said:?}");
    let error: Value = serde_json::from_str(&said.err).unwrap();
    let code = error["error"]["code"].as_str().unwrap().to_owned();
    assert!(
        plain.err.starts_with("error: ") && plain.err.contains(&format!("[{code}]")),
        "{plain:?}"
    );
    assert!(plain.err.contains("\n  next: "), "{plain:?}");
    code
}

/// Serves the files of a folder over HTTP, at an address of the loopback that no program takes for
/// its own machine's, until the test's process ends.
pub(crate) fn serve_files(folder: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Whoever leaves early gets nothing.
            let _served = serve_one(&folder, stream.unwrap());
        }
    });
    address
}

fn serve_one(folder: &Path, stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let asked = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = asked.split(' ').nth(1).unwrap_or("/");
    let path = path.split('?').next().unwrap_or_default().trim_start_matches('/');
    let (status, body) = match std::fs::read(folder.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}
