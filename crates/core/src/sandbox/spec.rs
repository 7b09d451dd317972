//! What a sandbox is asked to be, complete: everything a runtime has to put in force.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::sandbox::{ImageName, Limits, NetworkMode};

/// Where things are inside every sandbox.
pub mod paths {
    /// The task's working copy; commands start here.
    pub const WORKSPACE: &str = "/workspace";
    /// The task's memory: the commands' `$HOME`, which outlives the container.
    pub const MEMORY: &str = "/home/agent";
    /// The output of the task's executions, read-only.
    pub const EXECUTIONS: &str = "/run/armor/executions";
    /// The objects of the user's repository, read-only.
    pub const OBJECTS: &str = "/run/armor/objects";
    /// Certificates that programs trust in place of the image's, where the settings name some.
    pub const CERTIFICATES: &str = "/run/armor/certificates.pem";
    /// The port of the loopback at which the proxy of the network `egress` is, the way out.
    pub const EGRESS_PORT: u16 = 3128;
}

/// A sandbox as it is to be. What is not said here is closed: no capability, no way to gain
/// privileges, a read-only root file system, no device, no engine socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxSpec {
    /// Whose it is.
    pub task: TaskId,
    /// What it runs.
    pub image: ImageName,
    /// Who its commands are. Never root.
    pub user: UserIds,
    /// What it sees of the host.
    pub mounts: Vec<Mount>,
    /// What it reaches.
    pub network: NetworkMode,
    /// What it may use.
    pub limits: Limits,
}

/// A user and group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIds {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl UserIds {
    /// Whom the commands run as where Armor itself runs as root: a fixed user without privileges,
    /// the same as the images' `agent`.
    pub const UNPRIVILEGED: Self = Self { uid: 10001, gid: 10001 };
}

/// A folder of the host inside a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The folder on the host, absolute.
    pub source: PathBuf,
    /// Where the sandbox sees it, absolute.
    pub target: String,
    /// Whether it may be written to.
    pub access: Access,
}

/// Whether a mount may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may not.
    ReadOnly,
    /// It may.
    ReadWrite,
}
