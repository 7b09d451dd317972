//! What a tool is: its definition for the protocol, and what it does.

use std::future::Future;
use std::pin::Pin;

use armor_core::error::Report;
use armor_lifecycle::Lifecycle;
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use rmcp::service::RequestContext;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::arguments;
use crate::progress::Notifier;
use crate::reply::Reply;

/// One call of a tool.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) lifecycle: Lifecycle,
    context: RequestContext<RoleServer>,
    /// Cancelled when the server is to end: commands go on, answers do not wait for them.
    pub(crate) stopping: CancellationToken,
}

impl Call {
    pub(crate) fn new(
        lifecycle: Lifecycle,
        context: RequestContext<RoleServer>,
        stopping: CancellationToken,
    ) -> Self {
        Self { lifecycle, context, stopping }
    }

    /// Cancelled when the client takes the call back.
    pub(crate) fn cancelled(&self) -> &CancellationToken {
        &self.context.ct
    }

    /// Where steps of what takes long go.
    pub(crate) fn progress(&self) -> Notifier {
        Notifier::of(&self.context)
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<CallToolResult, Report>> + Send>>;

/// A tool as the server keeps it.
pub(crate) struct Registered {
    pub(crate) definition: Tool,
    pub(crate) run: Box<dyn Fn(Call, Option<JsonObject>) -> Answer + Send + Sync>,
}

/// What a tool does to the world, for clients that ask the user before some calls.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    /// It only looks.
    Reads,
    /// It adds or changes, and loses nothing.
    Adds,
    /// It may end or remove something.
    Removes,
}

/// The words that a tool is offered with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) effect: Effect,
    /// Whether calling it twice with the same arguments is as good as once.
    pub(crate) idempotent: bool,
}

/// Puts a tool together from its words and the function that does it.
pub(crate) fn register<A, R, F, Fut>(words: Words, run: F) -> Registered
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    R: JsonSchema + 'static,
    F: Fn(Call, A) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Report>> + Send + 'static,
{
    let annotations = ToolAnnotations::with_title(words.title)
        .read_only(matches!(words.effect, Effect::Reads))
        .destructive(matches!(words.effect, Effect::Removes))
        .idempotent(words.idempotent)
        .open_world(false);
    let definition = Tool::new(words.name, words.description, JsonObject::new())
        .with_title(words.title)
        .with_input_schema::<A>()
        .with_output_schema::<R>()
        .with_annotations(annotations);
    Registered {
        definition,
        run: Box::new(move |call, given| {
            let run = run.clone();
            Box::pin(async move {
                let arguments = arguments::parse(given)?;
                run(call, arguments).await.map(CallToolResult::from)
            })
        }),
    }
}
