//! Running the program in a temporary home.

use std::path::PathBuf;
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
