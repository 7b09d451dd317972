//! The names and labels of what Armor makes on an engine, so that it is known again, and so that
//! two homes on one engine never touch each other's.

use std::collections::HashMap;

use armor_core::id::{HomeId, TaskId};

use crate::digest::digest;

/// The task that a container or network belongs to.
pub const TASK_LABEL: &str = "opencode.task.id";
/// The home that it belongs to.
pub const HOME_LABEL: &str = "opencode.armor.home";
/// What tells the profile of system calls that a container was made with from others.
pub(crate) const PROFILE_LABEL: &str = "opencode.armor.profile";

/// The name of a task's container, and of its network.
pub(crate) fn name(home: &HomeId, task: &TaskId) -> String {
    format!("armor-{home}-{task}")
}

/// The labels of what belongs to a task.
pub(crate) fn labels(home: &HomeId, task: &TaskId) -> HashMap<String, String> {
    HashMap::from([
        (TASK_LABEL.to_owned(), task.to_string()),
        (HOME_LABEL.to_owned(), home.to_string()),
    ])
}

/// What a container is labelled with that was made with this option for the profile of system calls.
pub(crate) fn profile(option: &str) -> String {
    format!("{:016x}", digest(option))
}

/// A filter for what belongs to this home, and to this task if one is given.
pub(crate) fn filter(home: &HomeId, task: Option<&TaskId>) -> HashMap<String, Vec<String>> {
    let mut wanted = vec![format!("{HOME_LABEL}={home}")];
    wanted.extend(task.map(|task| format!("{TASK_LABEL}={task}")));
    HashMap::from([("label".to_owned(), wanted)])
}
