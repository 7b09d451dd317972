//! A task's folder, `tasks/<id>` in Armor's home, and the layers in it.
//!
//! - [`state`]: layer 1, `state.json`, the task as it stands.
//! - [`audit`]: layer 2, `logs/audit.jsonl` and archives of it, everything that happened, each line
//!   bound to the one before by a hash.
//! - [`decisions`]: layer 3, `decisions.md`, what was decided and why.
//! - [`output`]: what its commands wrote, in `executions/<id>/`.
//!
//! The first three are consumers of the event log: [`StateMirror`], [`AuditTrail`] and
//! [`DecisionRecord`]. They follow what the registry committed and can be made anew from it.

pub mod audit;
pub mod decisions;
mod error;
mod folder;
mod hash;
pub mod output;
mod restored;
pub mod state;
mod trash;

pub use audit::AuditTrail;
pub use decisions::DecisionRecord;
pub use error::StorageError;
pub use folder::{TaskFolder, TaskFolders};
pub use state::StateMirror;
pub use trash::Freed;
