//! The ordinary run: two hundred kills, each fault, two and four processes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

#[allow(clippy::print_stdout, reason = "the figures, for who asks for a test's output")]
fn torture(arguments: &[&str]) {
    let torture = Command::new(env!("CARGO_BIN_EXE_armor-torture")).args(arguments).output();
    let torture = torture.unwrap();
    let (said, error) = (torture.stdout, torture.stderr);
    let (said, error) = (String::from_utf8_lossy(&said), String::from_utf8_lossy(&error));
    assert!(torture.status.success(), "{said}{error}");
    println!("{said}");
}

// R96, R13, R32: kill -9 at random moments; nothing acknowledged is lost, nothing is half there,
// the log has no gap, and every consumer converges.
#[test]
fn two_hundred_kills_lose_nothing_that_was_acknowledged() {
    torture(&["--kills", "200"]);
}

// R96: a full disk, an I/O error, a read-only file system.
#[test]
fn a_disk_that_fails_is_told_of_loses_nothing_and_is_used_again_when_it_is_well() {
    torture(&["--faults"]);
}

// R13
#[test]
fn processes_that_hammer_one_database_get_no_error_and_lose_no_update() {
    torture(&["--hammer", "2"]);
    torture(&["--hammer", "4"]);
}

// R23, R24, R96: kill -9 while checkpoints are taken, restored, given back, exported and imported.
#[test]
fn forty_kills_harm_no_checkpoint_and_leave_the_old_tree_or_the_new_one() {
    torture(&["--persistence", "40"]);
}
