//! `detach`

use armor_core::id::AgentId;
use futures_util::FutureExt;

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::wire::TaskView;
use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const COMMAND: Command = Command {
    name: "detach",
    about: "Detach the agent from a task; its sandbox and files stay",
    arguments: &[
        TASK,
        Argument {
            name: "agent",
            kind: Kind::Option("AGENT"),
            help: "Only if this agent is attached",
        },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let agent = call.arguments.get("agent").map(AgentId::parse).transpose()?;
    let reference = call.arguments.required("task")?;
    let task = call.context.lifecycle.detach(reference, agent.as_ref()).await?;
    Outcome::well(&TaskView::from(&task), render::task(&task))
}
