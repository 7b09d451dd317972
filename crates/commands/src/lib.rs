//! The commands of Armor, each defined once.
//!
//! A [`Command`] is its name, what it is for, its arguments and its handler; [`COMMANDS`] lists
//! them all. The command line program makes its parser and its help from that list, and so may
//! whatever else offers the same commands. A handler is given a [`Call`] and gives an [`Outcome`],
//! which is text for people and JSON for programs; it prints nothing itself.
//!
//! [`wire`] has the JSON of tasks and executions, which `armor-mcp` uses too.

mod arguments;
mod audit;
mod backup;
mod checkpoint;
mod command;
mod config;
mod decisions;
mod demo;
mod dlq;
mod doctor;
mod error;
mod exec;
mod executions;
mod exit;
mod image;
mod jobs;
mod metrics;
mod network;
mod prune;
mod recover;
mod render;
mod shell;
mod stats;
mod task;
pub mod wire;

pub use arguments::{Argument, Arguments, Kind};
pub use command::{
    COMMANDS, Call, ClosedCall, ClosedHome, Command, Console, Context, GROUPS, Outcome,
    PersonsTerminal, Run, TerminalKind,
};
pub use error::CommandError;
pub use exit::ExitStatus;
pub use metrics::metrics;
