//! A task's life, from creation to deletion.
//!
//! [`Lifecycle`] owns every change of a task. It computes a change with the pure functions of
//! [`armor_core::task`], has the registry commit it together with its events, and leaves to the
//! consumers of the log what follows from it. What lies outside the registry — a branch, a working
//! copy, a sandbox — is brought in line by steps that can be repeated, so that being killed between
//! two of them costs nothing.
//!
//! One method a file: [`create`](Lifecycle::create), [`attach`](Lifecycle::attach),
//! [`execute`](Lifecycle::execute), [`detach`](Lifecycle::detach), [`complete`](Lifecycle::complete)
//! and the other ends, [`delete`](Lifecycle::delete).

mod attach;
mod attend;
mod checkpoint;
mod collect;
mod conclude;
mod create;
mod decide;
mod delete;
mod end;
mod error;
mod execute;
mod figures;
mod follow;
mod fork;
mod hooks;
mod house;
mod instance;
mod janitor;
mod kill;
mod lifecycle;
mod limits;
mod monitor;
mod network;
mod orphans;
mod pool;
mod prepare;
mod recover;
mod run;
mod sandbox;
mod shell;
mod take_up;
mod workspace;

pub use checkpoint::{Explanation, Forgetting, Pruned, Restoration, TakeCheckpoint};
pub use create::CreateTask;
pub use delete::Deleted;
pub use error::LifecycleError;
pub use execute::{Begun, Execute, ExecutionReport};
pub use figures::SandboxFigures;
pub use hooks::{AfterHooks, Hooks, RunAfterHooks};
pub use instance::Instances;
pub use janitor::{CleanUp, Janitor};
pub use lifecycle::{Lifecycle, LifecycleSettings, Parts};
pub use network::{Carrier, CarrierProgram};
pub use orphans::{Due, Orphan, Swept};
pub use pool::Pool;
pub use recover::{Examined, Loss, RecoveryOption};
pub use shell::Shell;
