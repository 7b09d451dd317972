//! A container whose first process is the runner, and commands in it.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use armor_output::{OutputFiles, StreamKind, stream_file};
use armor_runner::{
    Answer, Connection, End, Files, Io, NotStarted, Program, Request, SOCKET, Start, input,
};
use armor_testkit::engine;
use bollard::models::{ContainerCreateBody, HostConfig, ResourcesUlimits};
use bollard::query_parameters::RemoveContainerOptionsBuilder;

/// Whose the runner and all commands are.
const USER: u32 = 10_001;
/// The processes of a sandbox in which nothing runs.
pub(crate) const IDLE: usize = 1;
const INSIDE: &str = "/run/armor";

/// A container with a runner. It is removed when this is dropped.
pub(crate) struct Sandbox {
    id: String,
    first: i32,
    folder: tempfile::TempDir,
}

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) end: End,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// A command to be started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) limit_ms: Option<u64>,
    pub(crate) stdin: Option<Vec<u8>>,
    pub(crate) keep_bytes: Option<u64>,
}

pub(crate) fn sh(line: &str) -> Ask {
    Ask { argv: ["/bin/sh", "-c", line].map(str::to_owned).to_vec(), ..Ask::default() }
}

impl Sandbox {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// One whose processes may have only so many files open each.
    pub(crate) async fn start_with(open_files: Option<i64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = Program::install(&path.join("program")).unwrap();
        let shared = path.join("shared");
        std::fs::create_dir(&shared).unwrap();
        chown(&shared, Some(USER), Some(USER)).unwrap();
        let bind = |from: &Path, to: &str, mode: &str| {
            format!("{}:{INSIDE}/{to}:{mode}", from.to_str().unwrap())
        };
        let body = ContainerCreateBody {
            image: Some(engine::image().to_string()),
            entrypoint: Some(vec![format!("{INSIDE}/runner"), "serve".to_owned()]),
            cmd: Some(vec![format!("{INSIDE}/host/{SOCKET}")]),
            user: Some(format!("{USER}:{USER}")),
            env: Some(vec!["OF_THE_IMAGE=1".to_owned()]),
            labels: Some(HashMap::from([("armor.runner.test".to_owned(), String::new())])),
            stop_timeout: Some(5),
            host_config: Some(HostConfig {
                binds: Some(vec![
                    bind(program.path(), "runner", "ro"),
                    bind(&shared, "host", "rw"),
                ]),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                readonly_rootfs: Some(true),
                tmpfs: Some(HashMap::from([("/tmp".to_owned(), String::new())])),
                network_mode: Some("none".to_owned()),
                memory: Some(64 << 20),
                memory_swap: Some(64 << 20),
                pids_limit: Some(64),
                ulimits: open_files.map(|limit| {
                    let (soft, hard) = (Some(limit), Some(limit));
                    vec![ResourcesUlimits { name: Some("nofile".to_owned()), soft, hard }]
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let docker = engine::docker();
        let id = docker.create_container(None, body).await.unwrap().id;
        let mut sandbox = Self { id, first: 0, folder };
        docker.start_container(&sandbox.id, None).await.unwrap();
        let state = docker.inspect_container(&sandbox.id, None).await.unwrap().state.unwrap();
        sandbox.first = i32::try_from(state.pid.unwrap()).unwrap();
        // It listens a moment after its start.
        let listens = async {
            while Connection::open(&sandbox.shared(), sandbox.first).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), listens).await.unwrap();
        sandbox
    }

    pub(crate) fn shared(&self) -> PathBuf {
        self.folder.path().join("shared")
    }

    pub(crate) const fn first(&self) -> i32 {
        self.first
    }

    pub(crate) fn output(&self, execution: &str) -> PathBuf {
        self.folder.path().join(execution)
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(&self.shared(), self.first).await.unwrap()
    }

    /// Asks for a command, on a connection of its own, and gives what the runner answers first.
    pub(crate) async fn begin(&self, execution: &str, ask: Ask) -> (Connection, Answer) {
        let mut connection = self.connect().await;
        let answer = self.begin_on(&mut connection, execution, ask).await;
        (connection, answer)
    }

    pub(crate) async fn begin_on(
        &self,
        connection: &mut Connection,
        execution: &str,
        ask: Ask,
    ) -> Answer {
        let folder = self.output(execution);
        let files = OutputFiles::create(&folder).unwrap();
        let end = File::create(folder.join("end")).unwrap();
        let stdin = ask.stdin.map(|bytes| input(&bytes).unwrap());
        let mut descriptors: Vec<BorrowedFd<'_>> =
            vec![files.stdout.as_fd(), files.stderr.as_fd(), files.order.as_fd(), end.as_fd()];
        descriptors.extend(stdin.as_ref().map(AsFd::as_fd));
        let start = Start {
            execution: execution.to_owned(),
            argv: ask.argv,
            cwd: ask.cwd.unwrap_or_else(|| "/".to_owned()),
            env: ask.env,
            limit_ms: ask.limit_ms,
            io: Io::Files(Files {
                stdin: stdin.is_some(),
                keep_bytes: ask.keep_bytes.unwrap_or(1 << 30),
            }),
        };
        connection.ask(&Request::Start(start), &descriptors).await.unwrap();
        connection.answer().await.unwrap()
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, execution: &str, ask: Ask) -> Ran {
        let (mut connection, answer) = self.begin(execution, ask).await;
        assert!(matches!(answer, Answer::Started { .. }), "{answer:?}");
        let end = end_of(&mut connection).await;
        self.ran(execution, end)
    }

    pub(crate) async fn fail(&self, execution: &str, ask: Ask) -> NotStarted {
        match self.begin(execution, ask).await.1 {
            Answer::NotStarted(why) => why,
            answer => panic!("{answer:?}"),
        }
    }

    pub(crate) fn ran(&self, execution: &str, end: End) -> Ran {
        let read = |stream| std::fs::read(stream_file(&self.output(execution), stream)).unwrap();
        Ran { end, stdout: read(StreamKind::Stdout), stderr: read(StreamKind::Stderr) }
    }

    /// The end as the runner left it on disk.
    pub(crate) fn noted_end(&self, execution: &str) -> Vec<u8> {
        std::fs::read(self.output(execution).join("end")).unwrap()
    }

    pub(crate) async fn stop(&self) {
        engine::docker().stop_container(&self.id, None).await.unwrap();
    }

    pub(crate) async fn is_running(&self) -> bool {
        let found = engine::docker().inspect_container(&self.id, None).await.unwrap();
        found.state.unwrap().running.unwrap()
    }

    /// The numbers of all processes in it, as the host sees them.
    pub(crate) async fn processes(&self) -> usize {
        let found = engine::docker().top_processes(&self.id, None).await.unwrap();
        found.processes.unwrap().len()
    }

    /// Waits until only the runner is left, and the supervisor that waits for the next command.
    pub(crate) async fn until_empty(&self) {
        let empty = async { while self.processes().await > IDLE {} };
        tokio::time::timeout(std::time::Duration::from_secs(30), empty).await.unwrap();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let id = &self.id;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
                let removing = async { engine::docker().remove_container(id, Some(force)).await };
                // The test has its own outcome, whatever becomes of this.
                let _removed = runtime.unwrap().block_on(removing);
            });
        });
    }
}

/// The end of what a connection watches.
pub(crate) async fn end_of(connection: &mut Connection) -> End {
    loop {
        match connection.answer().await.unwrap() {
            Answer::Ended(end) => return end,
            Answer::Progress { .. } => {}
            answer => panic!("{answer:?}"),
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
