//! Running the program in a temporary home.

use std::process::Output;

use armor_testkit::Home;
use serde_json::Value;

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
