//! `fork`

use futures_util::FutureExt;

use super::TASK;
use crate::arguments::{Argument, Kind};
use crate::wire::TaskView;
use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const COMMAND: Command = Command {
    name: "fork",
    about: "Create a task with the files of another one, as they are or were, and a branch of its own",
    arguments: &[
        TASK,
        Argument {
            name: "checkpoint",
            kind: Kind::Optional,
            help: "The checkpoint to begin with; without it, one is taken now",
        },
        Argument { name: "name", kind: Kind::Option("NAME"), help: "What to call it" },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let from = call.arguments.required("task")?;
    let checkpoint = call.arguments.get("checkpoint");
    let name = call.arguments.get("name").map(str::parse).transpose()?;
    let task = call.context.lifecycle.fork(from, checkpoint, name).await?;
    Outcome::well(&TaskView::from(&task), render::task(&task))
}
