//! The ordinary run: two hundred kills.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

// R96, R13, R32: kill -9 at random moments; nothing acknowledged is lost, nothing is half there,
// the log has no gap, and every consumer converges.
#[test]
fn two_hundred_kills_lose_nothing_that_was_acknowledged() {
    let torture =
        Command::new(env!("CARGO_BIN_EXE_armor-torture")).args(["--kills", "200"]).output();
    let torture = torture.unwrap();
    let (said, error) = (torture.stdout, torture.stderr);
    let (said, error) = (String::from_utf8_lossy(&said), String::from_utf8_lossy(&error));
    assert!(torture.status.success(), "{error}");
    println!("{said}");
}
