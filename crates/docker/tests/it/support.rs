//! A runtime of a home of its own, and a sandbox to try things in.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use armor_core::config::Environment;
use armor_core::id::{ExecutionId, HomeId, IdSource, RandomIds, SandboxId};
use armor_core::sandbox::{
    Access, CommandEnd, CommandExit, ExecRequest, Limits, Mount, NetworkMode, OutputPlace, Runtime,
    RuntimeError, SandboxSpec, StreamKind, UserIds, Written, paths,
};
use armor_core::time::{Clock, SystemClock};
use armor_docker::{DockerRuntime, Endpoint, Engine, RunnerFolders};
use armor_output::stream_file;
use armor_testkit::engine;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A runtime with a home's id of its own; what it made is removed when it is dropped.
pub(crate) struct Place {
    pub(crate) runtime: Arc<DockerRuntime>,
    pub(crate) home: HomeId,
    ids: RandomIds,
    folder: tempfile::TempDir,
}

/// How a command went.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: CommandExit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Whose commands the tests run: not root, also where the tests are.
pub(crate) const USER: UserIds = UserIds::UNPRIVILEGED;

/// A command that was begun.
pub(crate) struct Running {
    pub(crate) execution: ExecutionId,
    run: JoinHandle<Result<CommandEnd, RuntimeError>>,
    heard: watch::Receiver<Option<Written>>,
}

impl Running {
    /// Waits until it has written something to standard output.
    pub(crate) async fn writes(&mut self) {
        self.has_written(1).await;
    }

    /// Waits until it has written so many bytes to standard output.
    pub(crate) async fn has_written(&mut self, bytes: u64) {
        let wrote =
            |written: &Option<Written>| written.is_some_and(|written| written.stdout >= bytes);
        self.heard.wait_for(wrote).await.unwrap();
    }

    pub(crate) async fn end(self) -> Result<CommandEnd, RuntimeError> {
        self.run.await.unwrap()
    }

    /// Lets go of it, as a caller that dies.
    pub(crate) async fn leave(self) {
        self.run.abort();
        assert!(self.run.await.unwrap_err().is_cancelled());
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.run.is_finished()
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::make(true)
    }

    /// One whose sandboxes have a runner, and one whose sandboxes have none.
    pub(crate) fn both() -> [Self; 2] {
        [Self::make(true), Self::make(false)]
    }

    fn make(has_runner: bool) -> Self {
        let ids = RandomIds::default();
        let home = ids.home_id(SystemClock.now());
        let endpoint = Endpoint::discover("", None, &Environment::of_process()).unwrap();
        let engine = Arc::new(Engine::new(endpoint, Duration::from_mins(1)));
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let folders = || RunnerFolders { files: path("runners"), trash: path("trash") };
        let runners = has_runner.then(folders);
        let runtime = Arc::new(DockerRuntime::new(engine, home.clone(), runners));
        Self { runtime, home, ids, folder }
    }

    /// The folder of a sandbox's socket, which commands may have where Armor is not root.
    pub(crate) fn socket_folder(&self, spec: &SandboxSpec) -> PathBuf {
        self.folder.path().join("runners/sockets").join(spec.task.as_str())
    }

    pub(crate) fn execution(&self) -> ExecutionId {
        self.ids.execution_id(SystemClock.now())
    }

    /// A specification with small limits, of a task of its own.
    pub(crate) fn spec(&self, network: NetworkMode) -> SandboxSpec {
        let task = self.ids.task_id(SystemClock.now());
        let folder = |name: &str, mode| {
            let path: PathBuf = self.folder.path().join(task.as_str()).join(name);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let mount =
            |source, target: &str, access| Mount { source, target: target.to_owned(), access };
        SandboxSpec {
            mounts: vec![
                mount(folder("workspace", 0o777), paths::WORKSPACE, Access::ReadWrite),
                mount(folder("memory", 0o777), paths::MEMORY, Access::ReadWrite),
                mount(folder("executions", 0o755), paths::EXECUTIONS, Access::ReadOnly),
            ],
            task,
            image: engine::image(),
            user: USER,
            network,
            limits: Limits {
                memory_mib: 128,
                cpu_millis: 500,
                pids: 48,
                open_files: 256,
                tmp_mib: 8,
            },
        }
    }

    /// A sandbox that runs.
    pub(crate) async fn sandbox(&self, spec: &SandboxSpec) -> SandboxId {
        let sandbox = self.runtime.create(spec).await.unwrap();
        self.runtime.start(&sandbox.id, spec).await.unwrap();
        sandbox.id
    }

    pub(crate) async fn exec(
        &self,
        sandbox: &SandboxId,
        request: ExecRequest,
    ) -> Result<Ran, RuntimeError> {
        let (progress, _) = watch::channel(None);
        let folder = request.output.folder.clone();
        let exit = self.runtime.exec(sandbox, request, &progress).await?.exit;
        let text = |stream| {
            let bytes = std::fs::read(stream_file(&folder, stream)).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok(Ran { exit, stdout: text(StreamKind::Stdout), stderr: text(StreamKind::Stderr) })
    }

    /// Begins a command, and does not wait for it.
    pub(crate) fn begin(&self, sandbox: &SandboxId, request: ExecRequest) -> Running {
        let (progress, heard) = watch::channel(None);
        let execution = request.execution.clone();
        let (runtime, sandbox) = (self.runtime.clone(), sandbox.clone());
        let run = tokio::spawn(async move { runtime.exec(&sandbox, request, &progress).await });
        Running { execution, run, heard }
    }

    /// Kills an execution; with all that runs in the sandbox, where nothing else does it.
    pub(crate) async fn kill(&self, sandbox: &SandboxId, execution: &ExecutionId) {
        if !self.runtime.kill(sandbox, execution, USER).await.unwrap() {
            self.runtime.restart(sandbox).await.unwrap();
        }
    }

    /// Runs a shell line.
    pub(crate) async fn sh(&self, sandbox: &SandboxId, line: &str) -> Ran {
        self.exec(sandbox, self.request(&["/bin/sh", "-c", line])).await.unwrap()
    }

    pub(crate) fn request(&self, argv: &[&str]) -> ExecRequest {
        let execution = self.execution();
        ExecRequest {
            output: OutputPlace {
                folder: self.folder.path().join("output").join(execution.as_str()),
                keep_bytes: 64 << 20,
            },
            limit: Duration::from_mins(5),
            execution,
            argv: argv.iter().map(|part| (*part).to_owned()).collect(),
            user: USER,
            cwd: paths::WORKSPACE.to_owned(),
            env: Vec::new(),
            stdin: None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        engine::remove_all_of_blocking(self.home.as_str());
    }
}
