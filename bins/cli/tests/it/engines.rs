//! Engines that are not this machine's (R58).

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use armor_testkit::{EngineProgram, Home, PrivateEngine, SshServer, require_engine};

use crate::support::{Said, armor};

#[tokio::test]
async fn engine_one_behind_ssh_is_used_once_its_machine_is_known() {
    require_engine!();
    if !SshServer::is_possible() || !EngineProgram::Dockerd.is_there() {
        return;
    }
    let engine = PrivateEngine::start(&[]).await;
    let server = SshServer::start(&engine.host());
    let home = Home::new().with("ARMOR_ENGINE_HOST", server.address());
    let typed = home.user().join("typed");
    std::fs::write(&typed, "typed\n").unwrap();
    let run = |arguments: &[&str]| -> Said {
        let mut command = home.command(env!("CARGO_BIN_EXE_armor"));
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", server.client().display()));
        command.args(arguments).stdin(File::open(&typed).unwrap()).output().unwrap().into()
    };
    let stranger = run(&["create-task", "one"]);
    assert!(stranger.err.contains("Host key verification failed."), "{stranger:?}");
    assert!(stranger.err.contains("[engine.unavailable]\n  next: Run `ssh"), "{stranger:?}");
    server.introduce();
    assert_eq!(run(&["create-task", "one"]).code, 0);
    let done = run(&["exec", "one", "--stdin", "--", "sh", "-c", "cat; echo done; exit 3"]);
    assert_eq!((done.code, done.out.as_str()), (3, "typed\ndone\n"), "{done:?}");
    assert_eq!(run(&["cleanup-task", "one", "--force"]).code, 0);
}

#[tokio::test]
async fn engine_one_that_does_not_see_the_tasks_files_says_so() {
    require_engine!();
    if !EngineProgram::Dockerd.is_there() {
        return;
    }
    let home = Home::new();
    let (engine, address) = PrivateEngine::far_from(&home.path()).await;
    let certificates = engine.certificates().display().to_string();
    let home =
        home.with("ARMOR_ENGINE_HOST", address).with("ARMOR_ENGINE_CERTIFICATES", certificates);
    assert_eq!(armor(&home, &["create-task", "one"]).code, 0);
    let failed = armor(&home, &["exec", "one", "--", "true"]);
    assert!(failed.err.contains("[engine.unsupported]"), "{failed:?}");
    assert_eq!(engine.docker().info().await.unwrap().containers, Some(0));
}

#[tokio::test]
async fn a_socket_that_may_not_be_used_is_told_of_with_what_to_do() {
    let home = Home::new();
    let socket = home.user().join("engine.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, Permissions::from_mode(0o000)).unwrap();
    let home = home.with("ARMOR_ENGINE_HOST", format!("unix://{}", socket.display()));
    // Root may use any, unless it goes without that right.
    let mut command = home.command("setpriv");
    if rustix::process::geteuid().is_root() {
        command.arg("--bounding-set=-dac_override");
    }
    command.arg(env!("CARGO_BIN_EXE_armor")).args(["create-task", "one"]);
    let failed: Said = command.output().unwrap().into();
    let expected = "[engine.unavailable]\n  next: Add your user to the group `docker`";
    assert!(failed.err.contains(expected), "{failed:?}");
}
