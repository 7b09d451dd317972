//! Engines that are not this machine's (R58).

use std::fs::File;

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
