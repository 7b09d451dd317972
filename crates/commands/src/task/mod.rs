//! The commands on tasks themselves.

pub(crate) mod cleanup;
pub(crate) mod complete;
pub(crate) mod create;
pub(crate) mod detach;
pub(crate) mod events;
pub(crate) mod find;
pub(crate) mod fork;
pub(crate) mod list;
pub(crate) mod show;
pub(crate) mod stop;

use crate::arguments::{Argument, Kind};

/// How every command names the task that it is about.
pub(crate) const TASK: Argument = Argument {
    name: "task",
    kind: Kind::Required,
    help: "The task: its id, the beginning of its id, or its name",
};
