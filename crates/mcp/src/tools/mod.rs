//! The tools, one subject a file: its words, its arguments, what it does.

mod attach;
mod checkpoints;
mod create;
mod decide;
mod delete;
mod detach;
mod execute;
mod fork;
mod list;
mod status;
mod stop;

use armor_commands::wire::TaskView;
use armor_core::error::{Diagnostic, Report};
use armor_core::task::Task;

use crate::reply::Reply;
use crate::tool::Registered;

/// All tools, in the order in which they are listed.
pub(crate) fn all() -> Vec<Registered> {
    vec![
        create::tool(),
        attach::tool(),
        execute::tool(),
        detach::tool(),
        list::tool(),
        status::tool(),
        checkpoints::create(),
        checkpoints::list(),
        checkpoints::restore(),
        fork::tool(),
        decide::tool(),
        stop::tool(),
        delete::tool(),
    ]
}

/// An error of the layers below, as a report.
#[allow(clippy::needless_pass_by_value, reason = "it is made for `map_err`")]
fn report(error: impl Diagnostic) -> Report {
    Report::of(&error)
}

/// A task as a result.
fn task_reply(task: &Task, text: String) -> Result<Reply, Report> {
    Reply::new(&TaskView::from(task), text)
}
