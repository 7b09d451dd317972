//! Sandboxes on Docker Engine.
//!
//! [`DockerRuntime`] implements [`armor_core::sandbox::Runtime`]: containers hardened as
//! `container.rs` says, checked by `verify.rs` once they run. Commands go through a program of ours
//! that is the sandbox's first process (`inside/`); where it cannot run, through the engine's exec
//! API (`exec.rs`), attended by this process (`attended.rs`), sent signals (`signal.rs`) and killed whole
//! (`kill.rs`). [`DockerImages`] builds the images that sandboxes run. Everything that is made bears labels ([`TASK_LABEL`], [`HOME_LABEL`]), and
//! nothing without them is ever touched. Engine types stay inside this crate.

mod attended;
mod container;
mod digest;
mod endpoint;
mod engine;
mod exec;
mod exec_terminal;
mod far;
mod features;
mod feed;
mod images;
mod inside;
mod kernel;
mod kill;
mod labels;
mod nameless;
mod network;
mod runtime;
mod seccomp;
mod signal;
mod ssh;
mod verify;

pub use endpoint::{Certificates, Endpoint, EndpointError};
pub use engine::Engine;
pub use images::DockerImages;
pub use inside::RunnerFolders;
pub use labels::{HOME_LABEL, TASK_LABEL};
pub use runtime::DockerRuntime;
pub use ssh::SshAddress;
