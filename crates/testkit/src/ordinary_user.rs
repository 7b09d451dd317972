//! A user of this machine who is not root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{getegid, geteuid};

use crate::Home;

/// Whom root becomes: a number that hardly any machine has, with a group of the same number.
const NUMBER: u32 = 54_321;
/// The engine's socket where nothing else is said.
const SOCKET: &str = "/var/run/docker.sock";

/// Somebody who is not root, whose a test's home is, and who may use the tests' engine. Where the tests
/// are run by root it is another user, who has nothing of root's; else it is whoever runs them.
#[derive(Debug)]
pub struct OrdinaryUser<'a> {
    home: &'a Home,
    program: PathBuf,
    uid: u32,
    gid: u32,
    /// What makes root them; nothing where nobody has to become somebody else.
    becoming: Vec<String>,
}

impl<'a> OrdinaryUser<'a> {
    /// Gives them a home with all that is in it by now, and a program of their own. None, loudly, where
    /// only root comes to these or to the engine.
    pub fn of(home: &'a Home, program: &Path) -> Option<Self> {
        let folder = home.path().parent().unwrap().to_owned();
        let own = folder.join(program.file_name().unwrap());
        // By a process of its own: no other thread's child then has the new file open for writing.
        run(Command::new("install").arg("--mode=0755").args([program, own.as_path()]));
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let mut user = Self { home, program: own, uid, gid, becoming: Vec::new() };
        if uid != 0 {
            return Some(user);
        }
        (user.uid, user.gid) = (NUMBER, NUMBER);
        user.becoming = vec![format!("--reuid={NUMBER}"), format!("--regid={NUMBER}")];
        let socket = engine_socket();
        user.becoming.push(match &socket {
            // As whoever may use an engine is in the group of its socket.
            Some(socket) => format!("--groups={}", fs::metadata(socket).unwrap().gid()),
            None => "--clear-groups".to_owned(),
        });
        run(Command::new("chown")
            .args(["--recursive", &format!("{NUMBER}:{NUMBER}")])
            .arg(&folder));
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        if !user.may("-x", &user.program) {
            crate::skipped_here("nobody but root comes to the folder of temporary files");
            return None;
        }
        if socket.is_some_and(|socket| !user.may("-w", &socket)) {
            crate::skipped_here("nobody but root may use the engine's socket");
            return None;
        }
        Some(user)
    }

    /// A program that they run in their home's environment, standing in their folder.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        if self.becoming.is_empty() {
            return self.home.command(program);
        }
        let mut command = self.home.command("setpriv");
        command.args(&self.becoming).arg(program.as_ref());
        command
    }

    /// Their own copy of the program, as a command of theirs.
    pub fn own_program(&self) -> Command {
        self.command(&self.program)
    }

    /// The numbers of the user and of their group.
    pub const fn ids(&self) -> (u32, u32) {
        (self.uid, self.gid)
    }

    fn may(&self, what: &str, path: &Path) -> bool {
        self.command("test").arg(what).arg(path).status().unwrap().success()
    }
}

/// None for an engine that is reached otherwise.
fn engine_socket() -> Option<PathBuf> {
    match crate::variable("DOCKER_HOST") {
        Some(host) => host.strip_prefix("unix://").map(PathBuf::from),
        None => Some(SOCKET.into()),
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
