//! `create-task`

use armor_core::network::{NetworkPolicy, rules};
use armor_core::sandbox::AskedLimits;
use armor_core::task::{Metadata, WorkspaceMode};
use armor_lifecycle::CreateTask;
use futures_util::FutureExt;

use crate::arguments::{Argument, Kind};
use crate::wire::TaskView;
use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const COMMAND: Command = Command {
    name: "create-task",
    about: "Create a task with its branch and working copy",
    arguments: &[
        Argument { name: "name", kind: Kind::Required, help: "What to call it" },
        Argument {
            name: "request",
            kind: Kind::Option("TEXT"),
            help: "What is to be done, in full",
        },
        Argument {
            name: "workspace",
            kind: Kind::Option("PATH"),
            help: "The git repository or folder to work on; without it the task starts from an empty folder",
        },
        Argument {
            name: "workspace-mode",
            kind: Kind::Option("MODE"),
            help: "What to make of it: repository (a working copy and a branch; the default), copy (of a folder), bind (the folder itself)",
        },
        Argument { name: "owner", kind: Kind::Option("OWNER"), help: "Whom it belongs to" },
        Argument {
            name: "metadata",
            kind: Kind::Option("JSON"),
            help: "A JSON object to keep with it",
        },
        Argument { name: "image", kind: Kind::Option("IMAGE"), help: "The image its sandbox runs" },
        Argument {
            name: "network",
            kind: Kind::Option("MODE"),
            help: "What its sandbox reaches: none, internal, egress, open",
        },
        Argument {
            name: "allow",
            kind: Kind::Many("RULE"),
            help: "With the network egress, what it may reach: host[:port], or preset:NAME; may be repeated",
        },
        Argument { name: "memory-mib", kind: Kind::Option("MIB"), help: "Its sandbox's memory" },
        Argument {
            name: "cpu-millis",
            kind: Kind::Option("N"),
            help: "Its sandbox's processor time, in thousandths of a core",
        },
        Argument {
            name: "pids",
            kind: Kind::Option("N"),
            help: "Its sandbox's processes and threads",
        },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let arguments = &call.arguments;
    let limits = AskedLimits {
        memory_mib: arguments.number("memory-mib")?,
        cpu_millis: arguments.number("cpu-millis")?,
        pids: arguments.number("pids")?,
        ..AskedLimits::default()
    };
    let allowed = arguments.all("allow").iter().map(|text| rules(text));
    let allowed: Vec<_> = allowed.collect::<Result<_, _>>()?;
    let owner = arguments.get("owner").or(call.context.user.as_deref());
    let request = CreateTask {
        name: arguments.required("name")?.parse()?,
        request: arguments.get("request").map(str::parse).transpose()?,
        workspace: arguments.get("workspace").map(Into::into),
        workspace_mode: arguments
            .get("workspace-mode")
            .map_or_else(|| Ok(WorkspaceMode::default()), str::parse)?,
        owner: owner.map(str::parse).transpose()?,
        metadata: arguments.get("metadata").map_or_else(|| Ok(Metadata::default()), str::parse)?,
        image: arguments.get("image").map(str::parse).transpose()?,
        network: arguments.get("network").map(str::parse).transpose()?,
        rules: NetworkPolicy { allow: allowed.concat(), deny: Vec::new() },
        limits,
    };
    let task = call.context.lifecycle.create(request).await?;
    Outcome::well(&TaskView::from(&task), render::task(&task))
}
