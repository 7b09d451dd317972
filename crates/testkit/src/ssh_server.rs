//! A real ssh server on the loopback, and a client that knows it and nobody else.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the server wants an empty folder.
const EMPTY: &str = "/run/sshd";

/// A server whose logins find the tests' engine. It ends when this is dropped.
#[derive(Debug)]
pub struct SshServer {
    folder: tempfile::TempDir,
    port: u16,
    server: Child,
    made_empty: bool,
}

impl SshServer {
    /// Whether this machine can run one: it takes root, and the programs.
    pub fn is_possible() -> bool {
        if !rustix::process::geteuid().is_root() {
            crate::skipped_here("a server of ssh of a test's own needs root");
            return false;
        }
        let is_there = Path::new("/usr/sbin/sshd").exists();
        if !is_there {
            crate::program_is_missing("sshd");
        }
        is_there
    }

    /// Starts one, whose logins find the engine at this address.
    pub fn start(engine: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("armor-ssh-").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for key in ["host", "user"] {
            let arguments = ["-q", "-t", "ed25519", "-N", "", "-f", &path(key)];
            assert!(Command::new("ssh-keygen").args(arguments).status().unwrap().success());
        }
        let made_empty = fs::create_dir(EMPTY).is_ok();
        // Somebody else could take it in between; then the server says so and the test fails.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPidFile none\nSetEnv DOCKER_HOST={engine}\n",
            path("host"),
            path("user.pub"),
        );
        fs::write(path("sshd_config"), settings).unwrap();
        let mut server = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f", &path("sshd_config"), "-E", &path("log")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(path("log")).unwrap_or_default();
            let ended = server.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < Duration::from_mins(1), "{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let started = Self { folder, port, server, made_empty };
        started.write_client();
        started
    }

    /// The address of an engine behind it.
    pub fn address(&self) -> String {
        format!("ssh://root@127.0.0.1:{}", self.port)
    }

    /// A folder with a program `ssh`: the real one, with a configuration of the test's own.
    pub fn client(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    /// Lets the client know the server.
    pub fn introduce(&self) {
        let key = fs::read_to_string(self.folder.path().join("host.pub")).unwrap();
        let known = format!("[127.0.0.1]:{} {key}", self.port);
        fs::write(self.folder.path().join("known_hosts"), known).unwrap();
    }

    fn write_client(&self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let settings = format!(
            "Host *\nIdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile {}\n",
            path("user"),
            path("known_hosts"),
        );
        fs::write(path("config"), settings).unwrap();
        fs::create_dir(self.client()).unwrap();
        let program = self.client().join("ssh");
        let script = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", path("config"));
        fs::write(&program, script).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _killed = self.server.kill();
        let _status = self.server.wait();
        if self.made_empty {
            let _removed = fs::remove_dir(EMPTY);
        }
    }
}
