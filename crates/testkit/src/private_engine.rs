//! An engine of a test's own, which it may stop, kill, hold still and start again.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::{API_DEFAULT_VERSION, Docker};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use crate::engine;

/// How long the engine may take for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// The first user of this machine that those of containers with a user namespace are.
pub const FIRST_USER: u32 = 100_000;

/// The programs that can be an engine of a test's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineProgram {
    /// Docker Engine.
    Dockerd,
    /// Podman with its Docker API.
    Podman,
}

impl EngineProgram {
    /// Whether this machine can run one: it takes root, and the program.
    pub fn is_there(self) -> bool {
        if !rustix::process::geteuid().is_root() {
            crate::skipped_here("an engine of a test's own needs root");
            return false;
        }
        let version = Command::new(self.name()).arg("--version").stdout(Stdio::null()).status();
        let is_there = version.is_ok_and(|status| status.success());
        if !is_there {
            crate::program_is_missing(self.name());
        }
        is_there
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Dockerd => "dockerd",
            Self::Podman => "podman",
        }
    }
}

/// Without a bridge, an engine of Docker removes the one that the machine's engine has.
fn bridge() -> &'static str {
    if Path::new("/sys/class/net/docker0").exists() { "--bridge=docker0" } else { "--bridge=none" }
}

/// An engine with folders and a socket of its own, and the tests' image on it. Docker's uses the bridge of
/// the machine's for nothing, and leaves the packet filter alone, so sandboxes on it have the network `none`. When it
/// is dropped, it ends, and so does everything that it started.
#[derive(Debug)]
pub struct PrivateEngine {
    program: EngineProgram,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    /// What it does not see.
    hidden: Option<PathBuf>,
    daemon: Option<Child>,
}

impl PrivateEngine {
    /// Starts Docker Engine with further arguments, and waits until it answers.
    pub async fn start(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::start_in(new_folder(), EngineProgram::Dockerd, arguments, None).await
    }

    /// Starts Docker Engine with a user namespace for its containers, whose users are others outside,
    /// behind [`FIRST_USER`].
    pub async fn with_user_namespaces() -> Self {
        let folder = new_folder();
        // Its containers' root has to find what is in it.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let range = format!("nobody:{FIRST_USER}:65536\nnogroup:{FIRST_USER}:65536\n");
        fs::write(folder.path().join("users"), range).unwrap();
        let arguments = vec!["--userns-remap=nobody:nogroup".to_owned()];
        Self::start_in(folder, EngineProgram::Dockerd, arguments, None).await
    }

    /// Starts Podman.
    pub async fn podman() -> Self {
        Self::start_in(new_folder(), EngineProgram::Podman, Vec::new(), None).await
    }

    /// Starts Docker Engine at an address of the loopback, too, where it takes who has a certificate of
    /// [`Self::certificates`]. Gives the address.
    pub async fn over_tls() -> (Self, String) {
        Self::start_over_tls(None).await
    }

    /// The same, as one on another machine: it does not see what is in a folder of this one.
    pub async fn far_from(hidden: &Path) -> (Self, String) {
        Self::start_over_tls(Some(hidden.to_owned())).await
    }

    async fn start_over_tls(hidden: Option<PathBuf>) -> (Self, String) {
        let folder = new_folder();
        let certificates = folder.path().join("certificates");
        crate::write_certificates(&certificates);
        let file = |name: &str| certificates.join(name).display().to_string();
        // Somebody else could take it in between; then the engine says so and the test fails.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("tcp://127.0.0.1:{port}");
        let arguments = vec![
            format!("--host={address}"),
            "--tlsverify".to_owned(),
            format!("--tlscacert={}", file("ca.pem")),
            format!("--tlscert={}", file("server.pem")),
            format!("--tlskey={}", file("server-key.pem")),
        ];
        (Self::start_in(folder, EngineProgram::Dockerd, arguments, hidden).await, address)
    }

    async fn start_in(
        folder: tempfile::TempDir,
        program: EngineProgram,
        arguments: Vec<String>,
        hidden: Option<PathBuf>,
    ) -> Self {
        fs::write(folder.path().join("daemon.json"), "{}").unwrap();
        let mut engine = Self { program, folder, arguments, hidden, daemon: None };
        engine.start_again().await;
        engine::pass_image_on(&engine.docker()).await;
        engine
    }

    /// The folder of the certificates for who calls it over TLS.
    pub fn certificates(&self) -> PathBuf {
        self.path("certificates")
    }

    /// Its address.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its client, for looking at it from outside.
    pub fn docker(&self) -> Docker {
        self.client().expect("its socket is there")
    }

    /// None while it has no socket.
    fn client(&self) -> Option<Docker> {
        let socket = self.socket();
        Docker::connect_with_unix(socket.to_str().unwrap(), 60, API_DEFAULT_VERSION).ok()
    }

    async fn answers(&self) -> bool {
        match self.client() {
            Some(docker) => docker.ping().await.is_ok(),
            None => false,
        }
    }

    /// Starts it again after it was stopped or killed, and waits until it answers.
    pub async fn start_again(&mut self) {
        assert!(self.daemon.is_none(), "it runs");
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let daemon = self
            .command()
            .args(self.own_arguments())
            .args(&self.arguments)
            // Podman's helpers leave files where they stand.
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.daemon = Some(daemon.unwrap());
        let begun = Instant::now();
        while !self.answers().await {
            let ended = self.daemon.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn command(&self) -> Command {
        let users = self.path("users");
        let (script, about) = match &self.hidden {
            Some(hidden) => (r#"mkdir -p "$0" && mount -t tmpfs none "$0" && exec "$@""#, hidden),
            // It takes its users' numbers from these, which are not ours to change.
            None if users.exists() => (
                r#"for ids in /etc/subuid /etc/subgid; do mount --bind "$0" $ids; done; exec "$@""#,
                &users,
            ),
            None => return Command::new(self.program.name()),
        };
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(about).arg(self.program.name());
        command
    }

    fn own_arguments(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        match self.program {
            EngineProgram::Dockerd => vec![
                format!("--host={}", self.host()),
                format!("--config-file={}", path("daemon.json")),
                format!("--data-root={}", path("data")),
                format!("--exec-root={}", path("run")),
                format!("--pidfile={}", path("pid")),
                "--storage-driver=vfs".to_owned(),
                bridge().to_owned(),
                "--iptables=false".to_owned(),
                "--ip6tables=false".to_owned(),
            ],
            EngineProgram::Podman => vec![
                format!("--root={}", path("data")),
                format!("--runroot={}", path("run")),
                format!("--tmpdir={}", path("tmp")),
                format!("--network-config-dir={}", path("networks")),
                "--storage-driver=vfs".to_owned(),
                "--cgroup-manager=cgroupfs".to_owned(),
                "system".to_owned(),
                "service".to_owned(),
                "--time=0".to_owned(),
                self.host(),
            ],
        }
    }

    /// Ends it as the machine's own manager of services does, and waits until it has ended.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Kills it. What it keeps containers with dies with it, as the kernel sees to.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
        // Where nobody reaps that, it would be taken for one that runs.
        match fs::remove_file(self.path("run/containerd/containerd.pid")) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }

    /// Holds it still: it takes connections and answers nothing.
    pub fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    fn end(&mut self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
        let ended = wait(&mut self.daemon.take().unwrap());
        assert!(ended, "it does not end: {}", self.log());
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.daemon.as_ref().expect("it runs"))
    }

    fn socket(&self) -> PathBuf {
        self.path("engine.sock")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The processes that it started and that have not ended: they name its folder.
    fn processes(&self) -> Vec<Pid> {
        let name = self.folder.path().as_os_str().as_encoded_bytes();
        let named = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.windows(name.len()).any(|part| part == name)
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        all.filter(|pid| *pid != std::process::id())
            .filter(named)
            .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
            .collect()
    }

    fn unmount_all(&self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let inside = |line: &&str| line.starts_with(self.folder.path().to_str().unwrap());
        let targets: Vec<_> =
            mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(inside).collect();
        for target in targets.into_iter().rev() {
            // What cannot be taken away shows when the folder is removed.
            let _unmounted = unmount(target, UnmountFlags::DETACH);
        }
    }
}

fn new_folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("armor-engine-").tempdir().unwrap()
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let pid = Pid::from_child(&daemon);
            let _going_on = kill_process(pid, Signal::CONT);
            if let Some(docker) = self.client() {
                engine::remove_all_blocking(&docker);
            }
            let _ended = kill_process(pid, Signal::TERM);
            if !wait(&mut daemon) {
                let _killed = kill_process(pid, Signal::KILL);
                let _status = daemon.wait();
            }
        }
        // What outlives an engine that was killed, or that lets its containers live.
        for pid in self.processes() {
            let _killed = kill_process(pid, Signal::KILL);
        }
        self.unmount_all();
    }
}

/// Waits for a process to end. False when it takes too long.
fn wait(process: &mut Child) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if process.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
