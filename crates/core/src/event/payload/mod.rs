//! What an event says: one enum a family, each variant with its name on the wire.
//!
//! Stored payloads are read back for as long as a home lives. A field that is added later is
//! optional; a change that an old payload can't be read by raises [`PAYLOAD_VERSION`] and gets a
//! conversion in [`EventPayload::decode`].

mod checkpoint;
mod execution;
mod hook;
mod network;
mod sandbox;
mod system;
mod task;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::hook::HookPoint;

pub use checkpoint::CheckpointEvent;
pub use execution::ExecutionEvent;
pub use hook::HookEvent;
pub use network::NetworkEvent;
pub use sandbox::SandboxEvent;
pub use system::SystemEvent;
pub use task::TaskEvent;

/// The version of payloads that this program writes.
pub const PAYLOAD_VERSION: u32 = 1;

/// A stored payload that this program cannot read.
#[derive(Debug, thiserror::Error)]
#[error("event `{name}` (payload version {version}) cannot be read")]
pub struct UnreadablePayload {
    name: String,
    version: u32,
    source: Option<serde_json::Error>,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EventPayload {
    /// About a task.
    Task(TaskEvent),
    /// About its sandbox.
    Sandbox(SandboxEvent),
    /// About a command in it.
    Execution(ExecutionEvent),
    /// About its checkpoints.
    Checkpoint(CheckpointEvent),
    /// About what it reaches.
    Network(NetworkEvent),
    /// About hooks on its changes.
    Hook(HookEvent),
    /// About the home as a whole.
    System(SystemEvent),
}

impl EventPayload {
    /// The event's name, `family:fact`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Task(event) => event.name(),
            Self::Sandbox(event) => event.name(),
            Self::Execution(event) => event.name(),
            Self::Checkpoint(event) => event.name(),
            Self::Network(event) => event.name(),
            Self::Hook(event) => event.name(),
            Self::System(event) => event.name(),
        }
    }

    /// The fields as JSON, without the name; null for an event without fields.
    pub fn data(&self) -> Value {
        let tagged = serde_json::to_value(self).unwrap_or_default();
        tagged.get("data").cloned().unwrap_or_default()
    }

    /// The fields as the text of JSON, without the name; `null` for an event without fields.
    ///
    /// # Errors
    /// When a field has no form in JSON.
    pub fn data_text(&self) -> serde_json::Result<String> {
        #[derive(Deserialize)]
        struct Tagged<'a> {
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let text = serde_json::to_string(self)?;
        let tagged: Tagged<'_> = serde_json::from_str(&text)?;
        Ok(tagged.data.map_or("null", RawValue::get).to_owned())
    }

    /// Reads a stored payload, whose fields are the text `data` of JSON.
    ///
    /// # Errors
    /// When the name, the version or the fields are none that this program knows.
    pub fn decode(name: &str, version: u32, data: &str) -> Result<Self, UnreadablePayload> {
        let unreadable = |source| UnreadablePayload { name: name.to_owned(), version, source };
        if version != PAYLOAD_VERSION {
            return Err(unreadable(None));
        }
        let name_text = Value::from(name);
        let tagged = match data {
            "null" => format!(r#"{{"event":{name_text}}}"#),
            data => format!(r#"{{"event":{name_text},"data":{data}}}"#),
        };
        let tagged = tagged.as_str();
        let payload = match name.split_once(':') {
            Some(("task", fact)) if is_point(fact) => serde_json::from_str(tagged).map(Self::Hook),
            Some(("hook", _)) => serde_json::from_str(tagged).map(Self::Hook),
            Some(("task", _)) => serde_json::from_str(tagged).map(Self::Task),
            Some(("sandbox", _)) => serde_json::from_str(tagged).map(Self::Sandbox),
            Some(("execution", _)) => serde_json::from_str(tagged).map(Self::Execution),
            Some(("checkpoint", _)) => serde_json::from_str(tagged).map(Self::Checkpoint),
            Some(("network", _)) => serde_json::from_str(tagged).map(Self::Network),
            Some(("system", _)) => serde_json::from_str(tagged).map(Self::System),
            _ => return Err(unreadable(None)),
        };
        payload.map_err(|error| unreadable(Some(error)))
    }
}

/// Whether the name of a fact about a task is that of a point where hooks run.
fn is_point(fact: &str) -> bool {
    HookPoint::ALL.iter().any(|point| point.to_string() == fact)
}

impl From<HookEvent> for EventPayload {
    fn from(event: HookEvent) -> Self {
        Self::Hook(event)
    }
}

impl From<TaskEvent> for EventPayload {
    fn from(event: TaskEvent) -> Self {
        Self::Task(event)
    }
}

impl From<SandboxEvent> for EventPayload {
    fn from(event: SandboxEvent) -> Self {
        Self::Sandbox(event)
    }
}

impl From<ExecutionEvent> for EventPayload {
    fn from(event: ExecutionEvent) -> Self {
        Self::Execution(event)
    }
}

impl From<CheckpointEvent> for EventPayload {
    fn from(event: CheckpointEvent) -> Self {
        Self::Checkpoint(event)
    }
}

impl From<NetworkEvent> for EventPayload {
    fn from(event: NetworkEvent) -> Self {
        Self::Network(event)
    }
}

impl From<SystemEvent> for EventPayload {
    fn from(event: SystemEvent) -> Self {
        Self::System(event)
    }
}

#[cfg(test)]
mod tests;
