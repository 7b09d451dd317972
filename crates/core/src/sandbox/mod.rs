//! Sandboxes: what one is asked to be, and the runtime that makes it so.

mod fields;
mod runtime;
mod spec;

pub use fields::{ImageName, InvalidSandboxField, Limits, NetworkMode};
pub use runtime::{
    CommandExit, ExecRequest, Images, OutputChunk, Progress, Runtime, RuntimeError, RuntimeInfo,
    Sandbox, SandboxState, SandboxStats, Silent, StreamKind,
};
pub use spec::{Access, Mount, SandboxSpec, UserIds, paths};
