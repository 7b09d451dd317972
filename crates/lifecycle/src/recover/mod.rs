//! Recovery (R25): looking at all layers of a task, saying what is damaged and what can be done about it,
//! and doing it.
//!
//! While the registry has the task, it has the last word: what the layers say otherwise is set aside, and
//! they are written anew by the consumers that write them. When it does not, the task is made again from
//! what is left, with its events, and the rest follows from these.

mod apply;
mod look;
mod options;

use armor_checkpoint_store::Manifest;
use armor_core::decision::Decision;
use armor_core::event::Event;
use armor_core::id::{CheckpointId, TaskId};
use armor_core::recovery::{Layer, RecoverySource};
use armor_core::task::Task;
use armor_core::time::Timestamp;

/// What is known of a task, layer by layer.
#[derive(Debug)]
pub struct Examined {
    /// The task.
    pub task: TaskId,
    /// What is wrong, by layer. Nothing: all is well.
    pub findings: Vec<(Layer, String)>,
    /// What can be done about it, the best first.
    pub options: Vec<RecoveryOption>,
    /// What the options are made of.
    layers: Layers,
}

/// What can be done about a damaged task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryOption {
    /// What it is made again from.
    pub from: RecoverySource,
    /// What is lost for good by that; nothing when it is empty.
    pub loses: Vec<Loss>,
}

/// Something that cannot be brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The task's history as a whole.
    History,
    /// Its history behind this many events.
    HistoryBehind(u64),
    /// How it stood behind this moment.
    StateSince(Timestamp),
    /// Its metadata and certificates, which no event has.
    Metadata,
    /// A checkpoint whose files are gone.
    Checkpoint(CheckpointId),
}

impl Loss {
    /// In words.
    pub fn describe(&self) -> String {
        match self {
            Self::History => "its history".to_owned(),
            Self::HistoryBehind(events) => format!("its history behind event {events}"),
            Self::StateSince(at) => format!("what became of it since {at}"),
            Self::Metadata => "its metadata and certificates".to_owned(),
            Self::Checkpoint(id) => format!("checkpoint {id}, whose files are gone"),
        }
    }
}

/// The layers as they were read. Each is whole, or there is nothing of it that can be used.
#[derive(Debug, Default)]
struct Layers {
    row: Option<Task>,
    state: Option<Task>,
    /// From the first event on, as far as the log is whole.
    events: Vec<Event>,
    is_log_whole: bool,
    newest: Option<Manifest>,
    /// As far as they could be read.
    decisions: Vec<Decision>,
    /// Checkpoints that have a row and no files.
    without_files: Vec<CheckpointId>,
}
