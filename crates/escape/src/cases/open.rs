//! Other tasks, from a sandbox with the network `open`: it may reach whatever the host reaches, but has a
//! network of its own. `TASK_ADDRESSES` and `TASK_NAMES` are those of tasks that listen on `TASK_PORT`.

use crate::case::Attempt::Shell;
use crate::{Area, Attempt, Case};

const fn open(name: &'static str, attempt: Attempt) -> Case {
    Case::ours(Area::Open, name, attempt)
}

pub(super) const CASES: &[Case] = &[
    open(
        "a port of another task, from an open network",
        Shell(
            "test -n \"$TASK_ADDRESSES\" || exit; for a in $TASK_ADDRESSES; do curl -sS -m 3 http://$a:$TASK_PORT/; done",
        ),
    ),
    open(
        "another task by its name, from an open network",
        Shell(
            "test -n \"$TASK_NAMES\" || exit; for a in $TASK_NAMES; do curl -sS -m 3 http://$a:$TASK_PORT/; done",
        ),
    ),
];
