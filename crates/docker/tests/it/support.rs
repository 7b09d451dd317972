//! A runtime of a home of its own, and a sandbox to try things in.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use armor_core::config::Environment;
use armor_core::id::{ExecutionId, HomeId, IdSource, RandomIds, SandboxId};
use armor_core::sandbox::{
    Access, CommandExit, ExecRequest, Limits, Mount, NetworkMode, Runtime, RuntimeError,
    SandboxSpec, StreamKind, UserIds, paths,
};
use armor_core::time::{Clock, SystemClock};
use armor_docker::{DockerRuntime, Endpoint, Engine};
use armor_testkit::engine;
use tokio::sync::mpsc;

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

impl Place {
    pub(crate) fn new() -> Self {
        let ids = RandomIds::default();
        let home = ids.home_id(SystemClock.now());
        let endpoint = Endpoint::discover("", &Environment::of_process()).unwrap();
        let engine = Arc::new(Engine::new(endpoint, Duration::from_mins(1)));
        let runtime = Arc::new(DockerRuntime::new(engine, home.clone()));
        Self { runtime, home, ids, folder: tempfile::tempdir().unwrap() }
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
        let (sender, mut receiver) = mpsc::channel(64);
        let run = self.runtime.exec(sandbox, request, sender);
        let take = async {
            let mut streams: BTreeMap<bool, Vec<u8>> = BTreeMap::new();
            while let Some(chunk) = receiver.recv().await {
                streams.entry(chunk.stream == StreamKind::Stdout).or_default().extend(chunk.bytes);
            }
            streams
        };
        let (exit, mut streams) = tokio::join!(run, take);
        let mut text = |stdout| {
            String::from_utf8_lossy(&streams.remove(&stdout).unwrap_or_default()).into_owned()
        };
        Ok(Ran { exit: exit?, stdout: text(true), stderr: text(false) })
    }

    /// Runs a shell line.
    pub(crate) async fn sh(&self, sandbox: &SandboxId, line: &str) -> Ran {
        self.exec(sandbox, self.request(&["/bin/sh", "-c", line])).await.unwrap()
    }

    pub(crate) fn request(&self, argv: &[&str]) -> ExecRequest {
        ExecRequest {
            execution: self.execution(),
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
