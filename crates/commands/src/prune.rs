//! `prune`: removes what there is of tasks that do not need it. First it says what that is.

use armor_core::sandbox::Belonging;
use armor_lifecycle::{Lifecycle, Orphan, Swept};
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::json;

use crate::arguments::{Argument, Kind};
use crate::wire::OrphanView;
use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const COMMAND: Command = Command {
    name: "prune",
    about: "Remove sandboxes, networks and files that no task needs",
    arguments: &[
        Argument {
            name: "dry-run",
            kind: Kind::Flag,
            help: "Only say what would be removed, and what would stay",
        },
        Argument {
            name: "all",
            kind: Kind::Flag,
            help: "Also what is not due yet, and the files of tasks that nothing is known of",
        },
        Argument { name: "force", kind: Kind::Flag, help: "Do not ask" },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let (all, now) = (call.arguments.has("all"), lifecycle.now());
    let found = lifecycle.orphans().await?;
    let (chosen, stays): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|orphan| all || orphan.due.has_come(now));
    let pooled = lifecycle.idle_pool()?.len();
    let plan = Listed::of(lifecycle, &chosen, &stays, pooled).await;
    if !call.arguments.has("dry-run") {
        // Their time of grace begins when they are first seen.
        lifecycle.prune(Vec::new(), stays).await;
    }
    if call.arguments.has("dry-run") || (chosen.is_empty() && pooled == 0) {
        let text = plan.text("Would be removed");
        return Outcome::well(&json!({ "removed": null, "found": plan }), text);
    }
    if !call.arguments.has("force") {
        let question = format!("{}\n\nRemove this?", plan.text("To be removed"));
        if !call.console.confirm(&question) {
            return Err(CommandError::NotAgreed {
                action: "removing what no task needs".to_owned(),
            });
        }
    }
    let pooled = lifecycle.empty_pool().await?;
    let Swept { removed, left, failed, freed } = lifecycle.prune(chosen, Vec::new()).await;
    let mut lines = vec![format!(
        "Removed {}; that freed {} files with {} MiB.",
        removed.len() + pooled,
        freed.files,
        freed.bytes >> 20
    )];
    for orphan in &left {
        lines.push(format!("Somebody works on {}; nothing of it was removed.", orphan.task));
    }
    for (orphan, error) in &failed {
        let cause = armor_core::error::chain(error);
        lines.push(format!("Of {} not all was removed: {cause}.", orphan.task));
    }
    let freed = json!({
        "orphans": removed.len(),
        "pooled": pooled,
        "files": freed.files,
        "bytes": freed.bytes,
        "busy": left.iter().map(|orphan| orphan.task.as_str()).collect::<Vec<_>>(),
        "failed": failed.iter().map(|(orphan, _)| orphan.task.as_str()).collect::<Vec<_>>(),
    });
    Outcome::well(&json!({ "removed": freed, "found": plan }), lines.join("\n"))
}

/// What there is to be removed, and what stays.
#[derive(Debug, Serialize)]
struct Listed {
    due: Vec<OrphanView>,
    later: Vec<OrphanView>,
    pooled: usize,
}

impl Listed {
    async fn of(lifecycle: &Lifecycle, due: &[Orphan], later: &[Orphan], pooled: usize) -> Self {
        Self { due: views(lifecycle, due).await, later: views(lifecycle, later).await, pooled }
    }

    fn text(&self, removal: &str) -> String {
        let mut parts = Vec::new();
        if !self.due.is_empty() {
            parts.push(format!("{removal}:\n{}", table(&self.due)));
        }
        if self.pooled > 0 {
            let pooled = self.pooled;
            parts.push(format!("{removal}: {pooled} sandboxes that were kept ready for new tasks"));
        }
        if parts.is_empty() {
            parts.push("Nothing is due.".to_owned());
        }
        if !self.later.is_empty() {
            let table = table(&self.later);
            parts.push(format!("Stays for now, but with --all:\n{table}"));
        }
        parts.join("\n\n")
    }
}

async fn views(lifecycle: &Lifecycle, orphans: &[Orphan]) -> Vec<OrphanView> {
    let mut views = Vec::new();
    for orphan in orphans {
        let has_files = orphan.belongings.contains(&Belonging::Files);
        let bytes = if has_files { Some(lifecycle.disk_usage(&orphan.task).await) } else { None };
        views.push(OrphanView::of(orphan, bytes));
    }
    views
}

fn table(orphans: &[OrphanView]) -> String {
    let rows = orphans.iter().map(|orphan| {
        [
            orphan.task_id.clone(),
            orphan.cause.clone(),
            orphan.belongings.join(", "),
            orphan.bytes.map(|bytes| format!("{} MiB", bytes >> 20)).unwrap_or_default(),
            orphan.due.clone(),
        ]
    });
    render::table(["TASK", "WHICH IS", "WHAT", "SIZE", "DUE"], rows)
}
