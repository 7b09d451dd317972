//! `network`: what a task reaches, and what it may.

use armor_core::network::{Verdict, rules};
use armor_core::task::Task;
use futures_util::FutureExt;
use serde_json::json;

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::task::events::{self, FOLLOW};
use crate::wire::NetworkView;
use crate::{Call, Command, CommandError, Outcome, Run};

const RULES: Argument = Argument {
    name: "rule",
    kind: Kind::Several,
    help: "host[:port], such as example.com, *.example.com:8443, 192.0.2.0/24:22; or preset:pypi",
};

pub(crate) const SHOW: Command = Command {
    name: "network show",
    about: "Show what a task may reach",
    arguments: &[TASK],
    run: Run::Open(|call| show(call).boxed()),
};

pub(crate) const LOG: Command = Command {
    name: "network log",
    about: "Show what a task was let reach, and what not",
    arguments: &[TASK, FOLLOW],
    run: Run::Open(|call| log(call).boxed()),
};

pub(crate) const ALLOW: Command = Command {
    name: "network allow",
    about: "Let a task with the network `egress` reach something",
    arguments: &[TASK, RULES],
    run: Run::Open(|call| rule(call, Verdict::Allow).boxed()),
};

pub(crate) const DENY: Command = Command {
    name: "network deny",
    about: "Keep a task from reaching something, whatever else is allowed",
    arguments: &[TASK, RULES],
    run: Run::Open(|call| rule(call, Verdict::Deny).boxed()),
};

pub(crate) const CARRY: Command = Command {
    name: "network carry",
    about: "Carry the connections of tasks with the network `egress`; started by itself when one needs it",
    arguments: &[],
    run: Run::Open(|call| carry(call).boxed()),
};

async fn show(call: Call) -> Result<Outcome, CommandError> {
    let task = call.context.lifecycle.resolve(call.arguments.required("task")?).await?;
    told(&task)
}

async fn log(call: Call) -> Result<Outcome, CommandError> {
    events::show_all(&call, "network:*".parse()?).await
}

async fn rule(call: Call, verdict: Verdict) -> Result<Outcome, CommandError> {
    // All of them, before any is set.
    let given: Vec<_> =
        call.arguments.all("rule").iter().map(|text| rules(text)).collect::<Result<_, _>>()?;
    let task = call.arguments.required("task")?;
    let task = call.context.lifecycle.rule(task, &given.concat(), verdict).await?;
    told(&task)
}

fn told(task: &Task) -> Result<Outcome, CommandError> {
    let policy = &task.sandbox.rules;
    let list = |rules: &[armor_core::network::Rule]| {
        let rules: Vec<_> = rules.iter().map(ToString::to_string).collect();
        if rules.is_empty() { "nothing".to_owned() } else { rules.join(", ") }
    };
    let text = match task.sandbox.network {
        armor_core::sandbox::NetworkMode::Egress => {
            let (allow, deny) = (list(&policy.allow), list(&policy.deny));
            format!("network   egress\nallowed   {allow}\ndenied    {deny}")
        }
        other => format!("network   {other}"),
    };
    Outcome::well(&NetworkView::from(task), text)
}

async fn carry(call: Call) -> Result<Outcome, CommandError> {
    let carried = call.context.lifecycle.carry(call.cancelled.clone()).await?;
    let text = if carried { "Nobody needs it any more." } else { "Another process carries them." };
    Outcome::well(&json!({ "carried": carried }), text.to_owned())
}
