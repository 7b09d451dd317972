//! Checkpoints of file trees.
//!
//! A [`Store`] keeps any number of trees. What files hold is cut into chunks where their content says
//! so, each chunk is kept once, whoever has it, and a [`Manifest`] names what a checkpoint is made of.
//! Nothing that is kept is ever changed: a checkpoint adds packs and then its manifest, whose rename is
//! the moment at which it exists. So a process can be killed anywhere, and several can write at once.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let place = tempfile::tempdir()?;
//! # let (home, tree, copy) = (place.path().join("home"), place.path().join("tree"), place.path().join("copy"));
//! # std::fs::create_dir(&tree)?;
//! # std::fs::write(tree.join("file"), "text")?;
//! use armor_checkpoint_store::{Draft, Root, Rules, Store};
//! use armor_core::checkpoint::CheckpointCause;
//! use armor_core::time::{Clock, SystemClock};
//!
//! let store = Store::open(&home)?;
//! let draft = Draft {
//!     task: "a-task".parse()?,
//!     id: "the-first".parse()?,
//!     name: None,
//!     cause: CheckpointCause::Asked,
//!     risk: None,
//!     at: SystemClock.now(),
//!     parent: None,
//!     state: serde_json::Value::Null,
//! };
//! let roots = [Root { name: "workspace", path: &tree }];
//! let manifest = store.take(draft, &roots, &Rules::none())?;
//! store.restore(&manifest, "workspace", &copy)?;
//! assert_eq!(std::fs::read_to_string(copy.join("file"))?, "text");
//! # Ok(())
//! # }
//! ```

mod budget;
mod cache;
mod changes;
mod chunk;
mod collect;
mod damage;
mod diff;
mod due;
mod error;
mod export;
mod fault;
mod git_index;
mod import;
mod index;
mod ingest;
mod limits;
mod lock;
mod manifest;
mod mark;
mod member;
mod pack;
mod paths;
mod patterns;
mod pax;
mod planting;
mod preview;
mod replace;
mod repository;
mod restore;
mod rules;
mod scan;
mod seal;
mod store;
mod tree;
mod verify;
mod walk;
mod write;
mod xattr;

pub use changes::{Change, Difference};
pub use chunk::ChunkId;
pub use collect::Collected;
pub use error::StoreError;
pub use export::Exported;
pub use fault::ArchiveFault;
pub use limits::ImportLimits;
pub use manifest::{LeftOut, Manifest, Reason, RootRecord, Stats};
pub use preview::Preview;
pub use replace::Replaced;
pub use restore::Restored;
pub use rules::Rules;
pub use store::{Draft, Root, Store};
pub use verify::{Finding, Verified};
