//! `doctor`: whether all that Armor needs is there, and what to do where it is not.

use armor_core::error::{Diagnostic, Report};
use armor_core::job::JobCounts;
use armor_lifecycle::Swept;
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::json;

use crate::{Call, Command, CommandError, ExitStatus, Outcome, Run};

pub(crate) const COMMAND: Command = Command {
    name: "doctor",
    about: "Check the engine, the images, the database and git, and say what to do",
    arguments: &[],
    run: Run::Open(|call| run(call).boxed()),
};

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    Note,
    Bad,
}

#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    health: Health,
    finding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_step: Option<String>,
}

impl Check {
    fn ok(what: &'static str, finding: String) -> Self {
        Self { what, health: Health::Ok, finding, next_step: None }
    }

    fn note(what: &'static str, finding: String, next_step: &str) -> Self {
        Self { what, health: Health::Note, finding, next_step: Some(next_step.to_owned()) }
    }

    fn bad(what: &'static str, error: &impl Diagnostic) -> Self {
        let Report { code, message, next_step } = Report::of(error);
        Self { what, health: Health::Bad, finding: format!("{message} [{code}]"), next_step }
    }
}

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let mut checks = vec![git(&call).await];
    checks.extend(database(&call).await);
    checks.extend(followers(&call).await);
    checks.push(jobs(&call).await);
    let engine = engine(&call).await;
    let engine_answers = engine.iter().all(|check| check.health != Health::Bad);
    checks.extend(engine);
    if engine_answers {
        checks.extend(images(&call).await);
        checks.push(orphans(&call).await);
    }
    let text: Vec<_> = checks.iter().map(shown).collect();
    let is_bad = checks.iter().any(|check| check.health == Health::Bad);
    Ok(Outcome {
        json: Some(json!({ "healthy": !is_bad, "checks": checks })),
        text: text.join("\n"),
        exit: if is_bad { ExitStatus::Unavailable } else { ExitStatus::Success },
    })
}

fn shown(check: &Check) -> String {
    let mark = match check.health {
        Health::Ok => "ok   ",
        Health::Note => "note ",
        Health::Bad => "BAD  ",
    };
    let next = check.next_step.as_ref().map(|next| format!("\n     next: {next}"));
    format!("{mark}{}: {}{}", check.what, check.finding, next.unwrap_or_default())
}

async fn git(call: &Call) -> Check {
    match call.context.lifecycle.git().version().await {
        Ok(version) => Check::ok("git", version.0),
        Err(error) => Check::bad("git", &error),
    }
}

async fn database(call: &Call) -> Vec<Check> {
    let registry = call.context.lifecycle.registry();
    let integrity = match registry.check().await {
        Ok(found) if found.is_empty() => {
            Check::ok("database", "its integrity check passes".to_owned())
        }
        Ok(found) => Check {
            what: "database",
            health: Health::Bad,
            finding: found.join("; "),
            next_step: Some(
                "Stop every Armor on this home and copy the database away before anything else."
                    .to_owned(),
            ),
        },
        Err(error) => Check::bad("database", &error),
    };
    let running = match registry.running_executions().await {
        Ok(running) => Check::ok("executions", format!("{} running", running.len())),
        Err(error) => Check::bad("executions", &error),
    };
    vec![integrity, running]
}

/// How far the consumers of the event log have come, and what they gave up on.
async fn followers(call: &Call) -> Vec<Check> {
    const WHAT: &str = "consumers";
    let lifecycle = &call.context.lifecycle;
    let lag = match lifecycle.consumers().lag().await {
        Ok(lags) => {
            let all: Vec<_> =
                lags.iter().map(|lag| format!("{} {} behind", lag.consumer, lag.events)).collect();
            Check::ok(WHAT, all.join(", "))
        }
        Err(error) => Check::bad(WHAT, &error),
    };
    let letters = match lifecycle.registry().dead_letters(u32::MAX).await {
        Ok(letters) if letters.is_empty() => Check::ok("dead letters", "none".to_owned()),
        Ok(letters) => Check::note(
            "dead letters",
            format!("{} events that a consumer gave up on", letters.len()),
            "`armor dlq list` shows them; put right what they say, then `armor dlq retry`.",
        ),
        Err(error) => Check::bad("dead letters", &error),
    };
    vec![lag, letters]
}

async fn jobs(call: &Call) -> Check {
    const WHAT: &str = "jobs";
    let JobCounts { waiting, running, dead } = match call.context.lifecycle.queue().counts().await {
        Ok(counts) => counts,
        Err(error) => return Check::bad(WHAT, &error),
    };
    let finding = format!("{waiting} wait, {running} run, {dead} given up");
    if dead == 0 {
        return Check::ok(WHAT, finding);
    }
    Check::note(
        WHAT,
        finding,
        "`armor jobs list --dead` shows why; put it right, then `armor jobs retry`.",
    )
}

async fn engine(call: &Call) -> Vec<Check> {
    let info = match call.context.lifecycle.runtime().probe().await {
        Ok(info) => info,
        Err(error) => return vec![Check::bad("engine", &error)],
    };
    let finding = format!(
        "{} {} (API {}) at {}, cgroup v{}, {}",
        info.name,
        info.version,
        info.api_version,
        info.endpoint,
        info.cgroup_version,
        info.security.join(", ")
    );
    let commands = if info.outlives_us {
        Check::ok("commands", "go through the runner, and go on without Armor".to_owned())
    } else {
        Check::note(
            "commands",
            "go through the engine's exec API: slower, and lost when Armor dies".to_owned(),
            "Use an engine on this machine, under its own kernel, over a unix socket.",
        )
    };
    vec![Check::ok("engine", finding), commands]
}

async fn images(call: &Call) -> Vec<Check> {
    match call.context.lifecycle.images().known().await {
        Ok(known) => known
            .into_iter()
            .map(|(image, is_there)| {
                if is_there {
                    Check::ok("image", format!("{image} is there"))
                } else {
                    Check::note(
                        "image",
                        format!("{image} is not built yet"),
                        "It is built when it is first needed, or with `armor image build all`.",
                    )
                }
            })
            .collect(),
        Err(error) => vec![Check::bad("image", &error)],
    }
}

/// What is due goes on the spot: nothing is lost with it.
async fn orphans(call: &Call) -> Check {
    const WHAT: &str = "orphans";
    // Those of a pool that nobody fills are nobody's, too.
    if let Err(error) = call.context.lifecycle.empty_pool().await {
        return Check::bad(WHAT, &error);
    }
    match call.context.lifecycle.sweep().await {
        Ok(Swept { mut failed, .. }) if !failed.is_empty() => Check::bad(WHAT, &failed.remove(0).1),
        Ok(Swept { removed, left, .. }) if removed.is_empty() && left.is_empty() => {
            Check::ok(WHAT, "none".to_owned())
        }
        Ok(Swept { removed, left, .. }) if left.is_empty() => {
            Check::ok(WHAT, format!("{} were removed", removed.len()))
        }
        Ok(Swept { removed, left, .. }) => Check::note(
            WHAT,
            format!("{} were removed, {} are left for now", removed.len(), left.len()),
            "`armor prune --dry-run` shows them.",
        ),
        Err(error) => Check::bad(WHAT, &error),
    }
}
