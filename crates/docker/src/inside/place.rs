//! Where the runner's program and its sockets are on the host, and which sandboxes can have it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use armor_core::id::TaskId;
use armor_core::sandbox::{NetworkMode, RuntimeError, UserIds, paths};
use armor_runner::{Program, SOCKET};
use bollard::models::ContainerInspectResponse;

use crate::digest::digest;
use crate::seccomp;

/// The program, inside every sandbox that has it.
pub(crate) const PROGRAM: &str = "/run/armor/runner";
/// The word that makes it the runner.
const SERVE: &str = "serve";
/// The folder that it shares with the host, for its socket.
pub(crate) const SHARED: &str = "/run/armor/host";

/// Where a home has what runners need.
#[derive(Debug, Clone)]
pub struct RunnerFolders {
    /// The program, and a folder for the socket of each sandbox.
    pub files: PathBuf,
    /// What is to be removed, on the same file system, by whoever empties it.
    pub trash: PathBuf,
}

/// The folder of a home with the program and a folder for each sandbox's socket.
#[derive(Debug)]
pub(crate) struct RunnerPlace {
    root: PathBuf,
    trash: PathBuf,
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
    pub(crate) fn new(folders: RunnerFolders) -> Self {
        Self { root: folders.files, trash: folders.trash }
    }

    /// Puts the program and the folder of a task's socket in their places.
    pub(crate) fn mounts(&self, task: &TaskId) -> Result<RunnerMounts, RuntimeError> {
        const ACTION: &str = "put its program in place";
        let program = Program::install(&self.root);
        let program = program.map_err(|error| failed(ACTION, io::Error::other(error)))?;
        let shared = self.shared(task);
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(&shared);
        made.map_err(|source| failed(ACTION, source))?;
        Ok(RunnerMounts { program: program.path().to_owned(), shared })
    }

    /// Puts the profile of system calls in its place, for an engine that takes it from there.
    pub(crate) fn profile(&self) -> io::Result<PathBuf> {
        // Beside those of other versions.
        let path = self.root.join(format!("seccomp-{:016x}.json", digest(&seccomp::PROFILE)));
        let profile = seccomp::PROFILE.as_bytes();
        if fs::read(&path).is_ok_and(|there| there == profile) {
            return Ok(path);
        }
        fs::create_dir_all(&self.root)?;
        // Beside its place, so that nobody ever reads half of it.
        let mut new = tempfile::NamedTempFile::new_in(&self.root)?;
        new.write_all(profile)?;
        new.persist(&path)?;
        Ok(path)
    }

    /// The folder of a task's socket on the host.
    pub(crate) fn shared(&self, task: &TaskId) -> PathBuf {
        self.root.join("sockets").join(task.as_str())
    }

    /// The tasks that have a folder.
    pub(crate) fn tasks(&self) -> io::Result<Vec<TaskId>> {
        let entries = match fs::read_dir(self.root.join("sockets")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            found.extend(entry?.file_name().to_str().and_then(|name| TaskId::parse(name).ok()));
        }
        Ok(found)
    }

    /// Whether something is in the folder, or somebody has closed it: then a runner was started before.
    pub(crate) fn was_used(&self, task: &TaskId) -> bool {
        match fs::read_dir(self.shared(task)) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Makes the folder anew, so that nothing is in it that a command has put there, and lets the
    /// runner make its socket in it. Only while nothing runs in the sandbox.
    pub(crate) fn renew(&self, task: &TaskId, user: UserIds) -> Result<(), RuntimeError> {
        let made = self.forget(task).and_then(|()| {
            let shared = self.shared(task);
            fs::DirBuilder::new().recursive(true).mode(0o755).create(&shared)?;
            chown(shared, Some(user.uid), Some(user.gid))
        });
        made.map_err(|source| failed("give its program a folder", source))
    }

    /// Leaves the folder to nobody inside, where Armor can: so no command can put something else in
    /// the place of the socket. What does so where Armor is no other user than the commands is
    /// found out by whoever connects.
    pub(crate) fn lock(&self, task: &TaskId) -> Result<(), RuntimeError> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let locked = chown(self.shared(task), Some(uid.as_raw()), Some(gid.as_raw()));
        locked.map_err(|source| failed("keep its program's folder", source))
    }

    /// Moves a task's folder into the trash, whatever a command has put there.
    pub(crate) fn forget(&self, task: &TaskId) -> io::Result<()> {
        let shared = self.shared(task);
        match fs::set_permissions(&shared, fs::Permissions::from_mode(0o700)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            permitted => permitted?,
        }
        fs::create_dir_all(&self.trash)?;
        let place = tempfile::Builder::new().prefix("socket-").tempdir_in(&self.trash)?;
        // It takes the place of the empty folder.
        fs::rename(shared, place.keep())
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

fn failed(action: &'static str, source: io::Error) -> RuntimeError {
    RuntimeError::Engine { action, source: Box::new(source) }
}

impl RunnerMounts {
    /// What is mounted, where, and whether it can be written to.
    pub(crate) fn all(&self) -> [(&Path, &'static str, bool); 2] {
        [(&self.program, PROGRAM, false), (&self.shared, SHARED, true)]
    }

    /// What the container of a sandbox with this network runs.
    pub(crate) fn entrypoint(network: NetworkMode) -> Vec<String> {
        let mut entrypoint =
            vec![PROGRAM.to_owned(), SERVE.to_owned(), format!("{SHARED}/{SOCKET}")];
        if network == NetworkMode::Egress {
            entrypoint.push(paths::EGRESS_PORT.to_string());
        }
        entrypoint
    }
}

/// Whether the first process of a container is the runner.
pub(crate) fn is_ours(container: &ContainerInspectResponse) -> bool {
    container.path.as_deref() == Some(PROGRAM)
}
