//! Checkpoints of tasks: taken, found, restored, removed.
//!
//! A checkpoint is a row of the registry, committed with its event, and a manifest in the store, which is
//! there before the row and goes after it. So what has a row can be restored, and what a kill leaves
//! without one is found by whoever cleans up.

mod adopt;
mod archive;
mod find;
mod forget;
mod restore;
mod retain;
mod schedule;
mod take;

pub use forget::Forgetting;
pub use restore::Restoration;
pub use retain::Pruned;
pub use schedule::Explanation;
pub use take::TakeCheckpoint;
pub(crate) use take::{MEMORY, WORKSPACE};
