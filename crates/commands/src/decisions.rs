//! `decisions`: what was decided about a task, and why.

use armor_core::decision::Decision;
use armor_core::id::AgentId;
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::{Call, Command, CommandError, Outcome, Run};

pub(crate) const ADD: Command = Command {
    name: "decisions add",
    about: "Note a decision about a task, for whoever works on it later",
    arguments: &[
        TASK,
        Argument { name: "what", kind: Kind::Required, help: "What was decided, in a sentence" },
        Argument { name: "why", kind: Kind::Option("TEXT"), help: "Why" },
        Argument {
            name: "alternative",
            kind: Kind::Many("TEXT"),
            help: "What else could have been done; may be repeated",
        },
        Argument {
            name: "by",
            kind: Kind::Option("AGENT"),
            help: "Who decided [default: your user name]",
        },
    ],
    run: Run::Open(|call| add(call).boxed()),
};

pub(crate) const LIST: Command = Command {
    name: "decisions list",
    about: "Show what was decided about a task, the oldest first",
    arguments: &[
        TASK,
        Argument { name: "by", kind: Kind::Option("AGENT"), help: "Only what this one decided" },
    ],
    run: Run::Open(|call| list(call).boxed()),
};

async fn add(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let by = call.arguments.get("by").or(call.context.user.as_deref()).unwrap_or("somebody");
    let decision = Decision::new(
        call.arguments.required("what")?.to_owned(),
        call.arguments.get("why").unwrap_or_default().to_owned(),
        call.arguments.all("alternative").to_vec(),
        AgentId::parse(by)?,
        lifecycle.now(),
    )?;
    let task = lifecycle.decide(call.arguments.required("task")?, decision.clone()).await?;
    Outcome::well(&view(&decision), format!("Noted for task {}.", task.id))
}

async fn list(call: Call) -> Result<Outcome, CommandError> {
    let by = call.arguments.get("by").map(AgentId::parse).transpose()?;
    let task = call.arguments.required("task")?;
    let mut decisions = call.context.lifecycle.decisions(task).await?;
    decisions.retain(|decision| by.as_ref().is_none_or(|by| decision.by() == by));
    let text = if decisions.is_empty() {
        "No decisions.".to_owned()
    } else {
        decisions.iter().map(text).collect::<Vec<_>>().join("\n\n")
    };
    let views: Vec<_> = decisions.iter().map(view).collect();
    Outcome::well(&json!({ "decisions": views }), text)
}

fn view(decision: &Decision) -> Value {
    json!({
        "what": decision.what(),
        "why": decision.why(),
        "alternatives": decision.alternatives(),
        "by": decision.by(),
        "at": decision.at(),
    })
}

fn text(decision: &Decision) -> String {
    // What an agent wrote does not reach the terminal's controls.
    let plain = |text: &str| {
        let lines = text.lines().map(|line| line.escape_debug().to_string());
        lines.collect::<Vec<_>>().join("\n    ")
    };
    let mut lines = vec![
        format!("{}  {}", decision.at(), decision.by()),
        format!("    {}", plain(decision.what())),
    ];
    if !decision.why().is_empty() {
        lines.push(format!("  why\n    {}", plain(decision.why())));
    }
    let others = decision.alternatives().iter();
    lines.extend(others.map(|other| format!("  instead of\n    {}", plain(other))));
    lines.join("\n")
}
