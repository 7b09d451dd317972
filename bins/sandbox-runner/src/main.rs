//! The first process of a sandbox. It is linked statically, mounted read-only into any image, and
//! needs nothing of it.
//!
//! It runs as the same user as the commands, without a privilege. What keeps it apart is the
//! kernel: nobody in the sandbox can signal its first process, and as one that is not dumpable its
//! memory, environment and descriptors are closed to them. It talks to processes of the host alone,
//! whom the kernel shows as such.

#![allow(clippy::print_stderr, reason = "what it cannot tell a host goes to the container's log")]

mod capture;
mod connection;
mod execution;
mod facts;
mod fork;
mod memory;
mod order;
mod processes;
mod report;
mod server;
mod source;
mod supervisor;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match words.as_slice() {
        [word, socket] if word == "serve" => server::run(Path::new(socket), None),
        [word, socket, port] if word == "serve" => match port.to_str().map(str::parse) {
            Some(Ok(port)) => server::run(Path::new(socket), Some(port)),
            _ => Err(std::io::Error::other("no port")),
        },
        _ => Err(std::io::Error::other(
            "usage: armor-sandbox-runner serve <socket> [<port of the way out>]",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("armor-sandbox-runner: {error}");
            ExitCode::FAILURE
        }
    }
}
