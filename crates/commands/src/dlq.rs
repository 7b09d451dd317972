//! `dlq list`, `dlq show`, `dlq retry` and `dlq purge`: the events that a consumer gave up on.

use armor_core::event::{DeadLetter, DeadLetterId, Seq};
use armor_events::RetryError;
use futures_util::FutureExt;
use serde_json::json;

use crate::arguments::{Argument, Kind};
use crate::wire::DeadLetterView;
use crate::{Call, Command, CommandError, Outcome, Run, render};

/// How many are listed at most.
const MOST: u32 = 1000;

const LETTER: Argument = Argument {
    name: "letter",
    kind: Kind::Required,
    help: "Which, as `dlq list` shows it: audit/17",
};

pub(crate) const LIST: Command = Command {
    name: "dlq list",
    about: "List the events that a consumer of the event log gave up on",
    arguments: &[],
    run: Run::Open(|call| list(call).boxed()),
};

pub(crate) const SHOW: Command = Command {
    name: "dlq show",
    about: "Show such an event, and why the consumer gave up",
    arguments: &[LETTER],
    run: Run::Open(|call| show(call).boxed()),
};

pub(crate) const RETRY: Command = Command {
    name: "dlq retry",
    about: "Give such an event to its consumer once more",
    arguments: &[LETTER],
    run: Run::Open(|call| retry(call).boxed()),
};

pub(crate) const PURGE: Command = Command {
    name: "dlq purge",
    about: "Forget such events; they stay in the event log",
    arguments: &[
        Argument { kind: Kind::Optional, ..LETTER },
        Argument { name: "all", kind: Kind::Flag, help: "All of them" },
    ],
    run: Run::Open(|call| purge(call).boxed()),
};

async fn list(call: Call) -> Result<Outcome, CommandError> {
    let letters = call.context.lifecycle.registry().dead_letters(MOST).await?;
    let text = if letters.is_empty() {
        "No dead letters.".to_owned()
    } else {
        let rows = letters.iter().map(|letter| {
            let DeadLetter { id, reason, tries, at } = letter;
            [id.to_string(), at.to_string(), tries.to_string(), reason.clone()]
        });
        render::table(["LETTER", "GIVEN UP", "TRIES", "REASON"], rows)
    };
    let views: Vec<_> = letters.iter().map(DeadLetterView::from).collect();
    Outcome::well(&json!({ "dead_letters": views }), text)
}

async fn show(call: Call) -> Result<Outcome, CommandError> {
    let registry = call.context.lifecycle.registry();
    let id: DeadLetterId = call.arguments.required("letter")?.parse()?;
    let letter = registry.dead_letter(&id).await?;
    let letter = letter.ok_or_else(|| RetryError::NotFound(id.clone()))?;
    let stored = registry.read_after(Seq(id.seq.0.saturating_sub(1)), 1, None).await?;
    let event = stored.into_iter().next().and_then(Result::ok);
    let text = render::pairs(&[
        ("letter", Some(id.to_string())),
        ("given up", Some(letter.at.to_string())),
        ("tries", Some(letter.tries.to_string())),
        ("reason", Some(letter.reason.clone())),
        ("event", event.as_ref().map(|event| json!(event).to_string())),
    ]);
    Outcome::well(&json!({ "dead_letter": DeadLetterView::from(&letter), "event": event }), text)
}

async fn retry(call: Call) -> Result<Outcome, CommandError> {
    let id: DeadLetterId = call.arguments.required("letter")?.parse()?;
    let letter = call.context.lifecycle.consumers().retry(&id).await?;
    Outcome::well(&DeadLetterView::from(&letter), format!("{id} was delivered."))
}

async fn purge(call: Call) -> Result<Outcome, CommandError> {
    let registry = call.context.lifecycle.registry();
    let ids = match (call.arguments.get("letter"), call.arguments.has("all")) {
        (Some(id), false) => vec![id.parse()?],
        (None, true) => {
            let letters = registry.dead_letters(u32::MAX).await?;
            letters.into_iter().map(|letter| letter.id).collect()
        }
        (None, false) => return Err(CommandError::Missing { argument: "letter" }),
        (Some(_), true) => return Err(CommandError::Together { arguments: "a letter and --all" }),
    };
    let mut purged = Vec::new();
    for id in ids {
        if registry.forget(&id).await? {
            purged.push(id.to_string());
        } else if !call.arguments.has("all") {
            return Err(RetryError::NotFound(id).into());
        }
    }
    let text = format!("Forgot {} dead letters.", purged.len());
    Outcome::well(&json!({ "purged": purged }), text)
}
