//! `logs`

use armor_core::id::ExecutionId;
use armor_core::sandbox::OutputChunk;
use armor_persistence::output::replay;
use futures_util::FutureExt;
use serde_json::json;

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::wire::ExecutionSummary;
use crate::{Call, Command, CommandError, Outcome, Run};

pub(crate) const COMMAND: Command = Command {
    name: "logs",
    about: "Show the whole output of an execution, in the order in which it came",
    arguments: &[
        TASK,
        Argument {
            name: "execution",
            kind: Kind::Optional,
            help: "The execution [default: the latest]",
        },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let task = lifecycle.resolve(call.arguments.required("task")?).await?;
    let execution = match call.arguments.get("execution") {
        Some(id) => lifecycle.registry().execution(&task.id, &ExecutionId::parse(id)?).await?,
        None => match lifecycle.registry().executions(&task.id, 1).await?.pop() {
            Some(latest) => latest,
            None => return Outcome::well(&json!(null), "No executions yet.".to_owned()),
        },
    };
    let folder = lifecycle.folder(&task.id).execution(&execution.id);
    replay(&folder, &mut |stream, bytes| {
        call.console.output(&OutputChunk { stream, bytes: bytes.to_vec().into() })
    })?;
    Outcome::well(&ExecutionSummary::from(&execution), String::new())
}
