//! `jobs list`, `jobs show`, `jobs retry` and `jobs purge`: the work that is done in the background.

use armor_core::job::{Job, JobId, JobState};
use futures_util::FutureExt;
use serde_json::json;

use crate::arguments::{Argument, Kind};
use crate::wire::JobView;
use crate::{Call, Command, CommandError, Outcome, Run, render};

/// How many are listed at most.
const MOST: u32 = 1000;

const JOB: Argument = Argument {
    name: "job",
    kind: Kind::Required,
    help: "Which, by the number that `jobs list` shows",
};

pub(crate) const LIST: Command = Command {
    name: "jobs list",
    about: "List the jobs that wait, run, or were given up; those that are done are gone",
    arguments: &[Argument { name: "dead", kind: Kind::Flag, help: "Only those given up" }],
    run: Run::Open(|call| list(call).boxed()),
};

pub(crate) const SHOW: Command = Command {
    name: "jobs show",
    about: "Show a job, and why it failed",
    arguments: &[JOB],
    run: Run::Open(|call| show(call).boxed()),
};

pub(crate) const RETRY: Command = Command {
    name: "jobs retry",
    about: "Make a job that waits, or was given up, due now",
    arguments: &[JOB],
    run: Run::Open(|call| retry(call).boxed()),
};

pub(crate) const PURGE: Command = Command {
    name: "jobs purge",
    about: "Remove jobs that were given up",
    arguments: &[
        Argument { kind: Kind::Optional, ..JOB },
        Argument { name: "all", kind: Kind::Flag, help: "All of them" },
    ],
    run: Run::Open(|call| purge(call).boxed()),
};

async fn list(call: Call) -> Result<Outcome, CommandError> {
    let mut jobs = call.context.lifecycle.queue().jobs(MOST).await?;
    if call.arguments.has("dead") {
        jobs.retain(|job| job.state == JobState::Dead);
    }
    let text = if jobs.is_empty() {
        "No jobs.".to_owned()
    } else {
        let rows = jobs.iter().map(|job| {
            [
                job.id.to_string(),
                job.kind.clone(),
                job.key.clone(),
                state(job),
                job.tries.to_string(),
                job.error.clone().unwrap_or_default(),
            ]
        });
        render::table(["JOB", "KIND", "ABOUT", "STATE", "TRIES", "LAST FAILURE"], rows)
    };
    let views: Vec<_> = jobs.iter().map(JobView::from).collect();
    Outcome::well(&json!({ "jobs": views }), text)
}

async fn show(call: Call) -> Result<Outcome, CommandError> {
    let job = call.context.lifecycle.queue().job(id(&call)?).await?;
    let text = render::pairs(&[
        ("job", Some(job.id.to_string())),
        ("kind", Some(job.kind.clone())),
        ("about", Some(job.key.clone())),
        ("state", Some(state(&job))),
        ("tries", Some(job.tries.to_string())),
        ("last failure", job.error.clone()),
        ("follows from event", Some(job.cause.to_string())),
        ("since", Some(job.created_at.to_string())),
    ]);
    Outcome::well(&JobView::from(&job), text)
}

async fn retry(call: Call) -> Result<Outcome, CommandError> {
    let job = call.context.lifecycle.queue().retry(id(&call)?).await?;
    Outcome::well(&JobView::from(&job), format!("Job {} is due.", job.id))
}

async fn purge(call: Call) -> Result<Outcome, CommandError> {
    let queue = call.context.lifecycle.queue();
    let purged = match (call.arguments.get("job"), call.arguments.has("all")) {
        (Some(id), false) => {
            let id = id.parse()?;
            queue.purge(id).await?;
            vec![id]
        }
        (None, true) => {
            let mut dead = queue.jobs(u32::MAX).await?;
            dead.retain(|job| job.state == JobState::Dead);
            let mut purged = Vec::new();
            for job in dead {
                queue.purge(job.id).await?;
                purged.push(job.id);
            }
            purged
        }
        (None, false) => return Err(CommandError::Missing { argument: "job" }),
        (Some(_), true) => return Err(CommandError::Together { arguments: "a job and --all" }),
    };
    Outcome::well(&json!({ "purged": purged }), format!("Removed {} jobs.", purged.len()))
}

fn id(call: &Call) -> Result<JobId, CommandError> {
    Ok(call.arguments.required("job")?.parse()?)
}

/// Where a job stands, for people.
fn state(job: &Job) -> String {
    match &job.state {
        JobState::Waiting { due } => format!("waiting until {due}"),
        JobState::Running { owner, .. } => format!("running in {owner}"),
        JobState::Dead => "given up".to_owned(),
    }
}
