//! `complete-task`

use armor_core::task::Outcome as TaskOutcome;
use futures_util::FutureExt;

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::wire::TaskView;
use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const COMMAND: Command = Command {
    name: "complete-task",
    about: "End a task well; its commits are on its branch then",
    arguments: &[
        TASK,
        Argument { name: "result", kind: Kind::Option("JSON"), help: "The result, as JSON" },
        Argument { name: "message", kind: Kind::Option("TEXT"), help: "What to say about it" },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let result = call.arguments.get("result").map(|text| {
        serde_json::from_str(text).map_err(|_| CommandError::Invalid {
            argument: "result",
            value: text.to_owned(),
            expected: "valid JSON",
        })
    });
    let outcome = TaskOutcome {
        message: call.arguments.get("message").map(str::to_owned),
        result: result.transpose()?,
    };
    let reference = call.arguments.required("task")?;
    let task = call.context.lifecycle.complete(reference, outcome).await?;
    Outcome::well(&TaskView::from(&task), render::task(&task))
}
