//! The one place where tasks, executions and the event log are kept.
//!
//! [`Registry`] is what the layers above see. A change and its events are one transaction, which
//! is the moment the change happens: no method changes a task without appending what happened.
//! [`SqliteRegistry`] is the embedded implementation, and the only one that names SQLite.
//!
//! ```
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use std::sync::Arc;
//!
//! use armor_core::config::Durability;
//! use armor_core::id::{AgentId, IdSource, RandomIds};
//! use armor_core::task::{Task, TaskRequest, TaskStatus};
//! use armor_core::time::{Clock, SystemClock};
//! use armor_registry::{Registry, SqliteRegistry};
//!
//! let home = tempfile::tempdir()?;
//! let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds::default()));
//! let file = home.path().join("armor.db");
//! let registry =
//!     SqliteRegistry::open(&file, Durability::Full, clock.clone(), ids.clone()).await?;
//!
//! let now = clock.now();
//! let task = Task::new(ids.task_id(now), TaskRequest::named("fix the parser".parse()?), now);
//! registry.create(&task).await?;
//! registry.commit(&task.attach(AgentId::parse("claude-1")?, clock.now())?).await?;
//! assert_eq!(registry.get(&task.id).await?.status, TaskStatus::Running);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```

mod backups;
mod cursor;
mod error;
mod lease;
mod query;
mod registry;
mod sqlite;

pub use backups::{Backup, Backups};
pub use cursor::Cursor;
pub use error::RegistryError;
pub use lease::Lease;
pub use query::{EventQuery, Order, Page, Statistics, TaskQuery};
pub use registry::{LostTask, Registry};
pub use sqlite::SqliteRegistry;
pub use sqlite::restore::Restored;
