//! Sandboxes: what one is asked to be, and the runtime that makes it so.

mod capacity;
mod fields;
mod input;
mod limits;
mod orphan;
mod runtime;
mod share;
mod signal;
mod spec;
mod terminal;

pub use capacity::Capacity;
pub use fields::{ImageName, InvalidSandboxField, NetworkMode};
pub use input::{Input, InputSource, InputStream};
pub use limits::{AskedLimits, Limits};
pub use orphan::{Belonging, OrphanCause};
pub use runtime::{
    CommandEnd, CommandExit, CommandProgress, Egress, ExecRequest, Images, OutputChunk,
    OutputPlace, Progress, Runtime, RuntimeError, RuntimeInfo, Sandbox, SandboxState, SandboxStats,
    Silent, StreamKind, Written,
};
pub use share::{MonitorAction, Resource, Use};
pub use signal::{Signal, UnknownSignal};
pub use spec::{Access, Mount, SandboxSpec, UserIds, paths};
pub use terminal::{Pending, Terminal, TerminalRequest, TerminalSize};
