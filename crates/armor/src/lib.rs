//! Agentic Armor, composed: what both binaries use, and whoever embeds it.
//!
//! [`Armor::builder`] reads configuration and environment, opens the home, and puts registry,
//! consumers, runtime and lifecycle together. This is the one place where that happens.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use armor::{Armor, CreateTask, Environment, Execute};
//!
//! let armor = Armor::builder(Environment::of_process()).open().await?;
//! let lifecycle = armor.lifecycle();
//!
//! let mut request = CreateTask::named("fix the parser".parse()?);
//! request.workspace = Some("/home/me/project".into());
//! let task = lifecycle.create(request).await?;
//! lifecycle.attach(task.id.as_str(), "my-agent".parse()?, &armor::Silent).await?;
//!
//! let run = Execute::new(armor::CommandLine::Shell("make test".into()));
//! let report = lifecycle.execute(task.id.as_str(), run, Default::default()).await?;
//! println!("{}", report.stdout.text);
//!
//! armor.close().await;
//! # Ok(())
//! # }
//! ```

mod builder;
mod error;

pub use armor_commands as commands;
pub use armor_core::config::{Configuration, Environment, Settings};
pub use armor_core::execution::CommandLine;
pub use armor_core::sandbox::{Progress, Silent};
pub use armor_core::{error as diagnostics, hook, id, sandbox, task};
pub use armor_events::{Pattern, Subscription};
pub use armor_lifecycle::{
    CreateTask, Due, Execute, ExecutionReport, Lifecycle, LifecycleError, Orphan, Swept,
};
pub use builder::{Armor, Builder};
pub use error::OpenError;
