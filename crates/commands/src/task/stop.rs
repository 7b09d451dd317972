//! `stop-task`

use futures_util::FutureExt;

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::wire::TaskView;
use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const COMMAND: Command = Command {
    name: "stop-task",
    about: "Give a task up, or end it as failed; its files and branch stay",
    arguments: &[
        TASK,
        Argument { name: "reason", kind: Kind::Option("TEXT"), help: "Why" },
        Argument {
            name: "failed",
            kind: Kind::Flag,
            help: "End it as failed instead of cancelled",
        },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let reference = call.arguments.required("task")?;
    let reason = call.arguments.get("reason").map(str::to_owned);
    let task = if call.arguments.has("failed") {
        lifecycle
            .fail(reference, reason.unwrap_or_else(|| "no reason was given".to_owned()))
            .await?
    } else {
        lifecycle.cancel(reference, reason).await?
    };
    Outcome::well(&TaskView::from(&task), render::task(&task))
}
