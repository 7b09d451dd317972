//! The host's side of the runner in a sandbox.
//!
//! [`Program::install`] puts the runner where a sandbox can mount it. In the sandbox it is the first
//! process, started as `serve <socket>`, and listens at a socket in a folder that it shares with the
//! host. [`Connection::open`] connects to it, if it really is that process; one connection carries one
//! request at a time, so whoever waits for a command has one of its own.

mod connection;
mod error;
mod input;
mod program;

pub use armor_runner_protocol::{
    Answer, Cause, End, Facts, Files, GroupLimits, Io, NotStarted, Request, Signal, Size, Start,
    Usage,
};
pub use connection::{Connection, SOCKET};
pub use error::RunnerError;
pub use input::{input, input_pipe};
pub use program::Program;
