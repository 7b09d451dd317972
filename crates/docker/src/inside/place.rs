//! Where the runner's program and its sockets are on the host, and which sandboxes can have it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use armor_core::id::TaskId;
use armor_core::sandbox::{RuntimeError, UserIds};
use armor_runner::{Program, SOCKET};
use bollard::models::{ContainerInspectResponse, SystemInfo};
use rustix::system::uname;

use crate::Endpoint;

/// The program, inside every sandbox that has it.
pub(crate) const PROGRAM: &str = "/run/armor/runner";
/// The word that makes it the runner.
pub(crate) const SERVE: &str = "serve";
/// The folder that it shares with the host, for its socket.
const SHARED: &str = "/run/armor/host";

/// The folder of a home with the program and a folder for each sandbox's socket.
#[derive(Debug)]
pub(crate) struct RunnerPlace {
    root: PathBuf,
}

/// What a sandbox with a runner sees of the host beside what its specification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunnerMounts {
    /// The program.
    pub(crate) program: PathBuf,
    /// The folder of its socket.
    pub(crate) shared: PathBuf,
}

impl RunnerPlace {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Puts the program and the folder of a task's socket in their places.
    pub(crate) fn mounts(&self, task: &TaskId) -> Result<RunnerMounts, RuntimeError> {
        let failed = |source: io::Error| RuntimeError::Engine {
            action: "put its program in place",
            source: Box::new(source),
        };
        let program = Program::install(&self.root);
        let program = program.map_err(|error| failed(io::Error::other(error)))?;
        let shared = self.shared(task);
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(&shared);
        made.map_err(failed)?;
        Ok(RunnerMounts { program: program.path().to_owned(), shared })
    }

    /// The folder of a task's socket on the host.
    pub(crate) fn shared(&self, task: &TaskId) -> PathBuf {
        self.root.join("sockets").join(task.as_str())
    }

    /// Lets the runner make its socket in the folder.
    pub(crate) fn unlock(&self, task: &TaskId, user: UserIds) -> Result<(), RuntimeError> {
        self.give(task, user)
    }

    /// Leaves the folder to nobody inside, where Armor can: so no command can put something else in
    /// the place of the socket. What does so where Armor is no other user than the commands is
    /// found out by whoever connects.
    pub(crate) fn lock(&self, task: &TaskId) -> Result<(), RuntimeError> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        self.give(task, UserIds { uid: uid.as_raw(), gid: gid.as_raw() })
    }

    fn give(&self, task: &TaskId, user: UserIds) -> Result<(), RuntimeError> {
        let given = chown(self.shared(task), Some(user.uid), Some(user.gid));
        given.map_err(|source| RuntimeError::Engine {
            action: "give its program a folder",
            source: Box::new(source),
        })
    }

    /// Forgets a task's socket.
    pub(crate) fn forget(&self, task: &TaskId) -> io::Result<()> {
        match fs::remove_dir_all(self.shared(task)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether a mount is one of those that [`Self::mounts`] gives a task, or gave it when the
    /// program was another.
    pub(crate) fn is_mount(
        &self,
        task: &TaskId,
        target: &str,
        source: &Path,
        writable: bool,
    ) -> bool {
        match target {
            PROGRAM => !writable && source.parent() == Some(self.root.as_path()),
            SHARED => writable && source == self.shared(task),
            _ => false,
        }
    }
}

/// Whether sandboxes on this engine can have the runner: it runs on this machine, under this kernel,
/// and sees the same files.
pub(crate) fn suits(endpoint: &Endpoint, engine: &SystemInfo) -> bool {
    let here = uname();
    let release = here.release().to_str().ok();
    let machine = here.machine().to_str().ok();
    endpoint.as_str().starts_with("unix://")
        && engine.os_type.as_deref() == Some("linux")
        && engine.kernel_version.as_deref() == release
        && engine.architecture.as_deref() == machine
        // Its engine runs in a virtual machine, which may have the same kernel.
        && engine.operating_system.as_deref() != Some("Docker Desktop")
}

impl RunnerMounts {
    /// What is mounted, where, and whether it can be written to.
    pub(crate) fn all(&self) -> [(&Path, &'static str, bool); 2] {
        [(&self.program, PROGRAM, false), (&self.shared, SHARED, true)]
    }

    /// What the container runs.
    pub(crate) fn entrypoint() -> Vec<String> {
        vec![PROGRAM.to_owned(), SERVE.to_owned(), format!("{SHARED}/{SOCKET}")]
    }
}

/// Whether the first process of a container is the runner.
pub(crate) fn is_ours(container: &ContainerInspectResponse) -> bool {
    container.path.as_deref() == Some(PROGRAM)
}
