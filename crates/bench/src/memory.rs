//! How much memory a step takes: in a process of its own, which does nothing else.

use std::ffi::OsStr;
use std::process::Command;

use crate::Outcome;

/// The most memory that this program had resident as a process of its own, called with these words, in
/// MiB. It says so itself ([`most_resident`]).
pub(crate) fn of_own_process(words: &[&OsStr]) -> Outcome<f64> {
    let output = Command::new(std::env::current_exe()?).args(words).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The most memory that this process had resident, in MiB.
pub(crate) fn most_resident() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kibibytes.ok_or("the kernel does not tell")?.parse::<f64>()? / 1024.0)
}
