//! The words and the contracts of Agentic Armor.
//!
//! Everything above this crate speaks in its types: [`id`]s, [`task`]s and their states, [`event`]s,
//! [`job`]s, [`hook`]s, [`sandbox`] specifications, [`config`]uration, [`path`]s and [`time`]. It also holds the traits
//! that keep the layers apart: [`event::EventLog`] (the registry implements it, consumers read it)
//! and [`sandbox::Runtime`] (the Docker crate implements it, the lifecycle drives it).
//!
//! Of I/O the crate does only what several layers need alike: resolving paths under a root, locks on
//! files, reading the settings' files that it is pointed to. It reads the environment and the clock
//! only where a program asks it to, and prints nothing.
//!
//! A task's life is data and pure functions; a [`task::Change`] is what the registry commits:
//!
//! ```
//! use armor_core::id::{AgentId, IdSource, SequentialIds};
//! use armor_core::task::{Task, TaskRequest, TaskStatus};
//! use armor_core::time::Timestamp;
//!
//! let ids = SequentialIds::default();
//! let now = Timestamp::from_millis(1_700_000_000_000);
//! let task = Task::new(ids.task_id(now), TaskRequest::named("fix the parser".parse()?), now);
//! let change = task.attach(AgentId::parse("claude-1")?, now)?;
//! assert_eq!(change.after.status, TaskStatus::Running);
//! assert_eq!(change.events[0].name(), "task:started");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod checkpoint;
pub mod config;
pub mod decision;
pub mod error;
pub mod event;
pub mod execution;
pub mod file_lock;
pub mod hook;
pub mod id;
pub mod job;
pub mod network;
pub mod path;
pub mod recovery;
pub mod retention;
pub mod risk;
pub mod sandbox;
pub mod task;
pub mod time;
