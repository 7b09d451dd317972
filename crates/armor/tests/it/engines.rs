//! An engine that is stopped, killed, held still or slow in the middle of something (R59): bounded waits,
//! one clear error, and the task goes on when it is back.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use armor::task::{Task, WorkspaceMode};
use armor::{Armor, CreateTask};
use armor_core::error::{Code, Diagnostic};
use armor_core::execution::ExecutionStatus;
use armor_core::sandbox::{RuntimeError, UserIds};
use armor_testkit::{FIRST_USER, Home, PrivateEngine, require_private_engine, write_certificates};
use tokio_util::sync::CancellationToken;

use crate::support::{attach, attached, begin, open, run, sh};

/// How long an answer of the engine is waited for.
const LIMIT: Duration = Duration::from_secs(2);
/// Every call in these tests asks the engine a few times at most; on a busy machine it takes longer.
const BOUND: Duration = Duration::from_secs(30);

fn home_on(engine: &PrivateEngine) -> Home {
    Home::new()
        .with("ARMOR_ENGINE_HOST", engine.host())
        .with("ARMOR_ENGINE_TIMEOUT_SECONDS", LIMIT.as_secs().to_string())
}

/// Runs a command, which is to fail in bounded time, and gives the error's code.
async fn fails(armor: &Armor, task: &Task) -> Code {
    let begun = Instant::now();
    let failed = run(armor, task, "true").await;
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    failed.unwrap_err().code()
}

#[tokio::test]
async fn engine_one_that_is_restarted_ends_a_command_and_the_task_goes_on() {
    require_private_engine!(Dockerd);
    let mut engine = PrivateEngine::start(&[]).await;
    let home = home_on(&engine);
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let running = begin(&armor, &task, "echo kept > file; echo begun; sleep 1000").await;
    engine.stop();
    let report = running.await.unwrap().unwrap();
    assert_eq!(report.execution.status(), ExecutionStatus::Interrupted);
    assert_eq!(report.stdout.text, "begun\n");
    assert_eq!(fails(&armor, &task).await, Code::EngineUnavailable);
    engine.start_again().await;
    assert_eq!(sh(&armor, &task, "cat file").await, "kept\n");
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
}

#[tokio::test]
async fn engine_one_that_keeps_containers_alive_is_restarted_under_a_command_that_goes_on() {
    require_private_engine!(Dockerd);
    let mut engine = PrivateEngine::start(&["--live-restore"]).await;
    let home = home_on(&engine);
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let line = "echo begun; while [ ! -e go ]; do sleep 0.1; done; echo ended";
    for kill in [false, true] {
        let running = begin(&armor, &task, line).await;
        if kill {
            engine.kill();
        } else {
            engine.stop();
        }
        // The sandbox is there, and commands do not need the engine.
        assert_eq!(sh(&armor, &task, "echo without").await, "without\n");
        engine.start_again().await;
        assert_eq!(sh(&armor, &task, "touch go; echo with").await, "with\n");
        let report = running.await.unwrap().unwrap();
        assert_eq!(report.execution.end.as_ref().unwrap().exit_code, Some(0), "{report:?}");
        assert_eq!(report.stdout.text, "begun\nended\n");
        sh(&armor, &task, "rm go").await;
    }
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
}

#[tokio::test]
async fn engine_one_that_is_killed_without_a_word_loses_no_task() {
    require_private_engine!(Dockerd);
    let mut engine = PrivateEngine::start(&[]).await;
    let home = home_on(&engine);
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    sh(&armor, &task, "echo kept > file").await;
    engine.kill();
    engine.start_again().await;
    assert_eq!(sh(&armor, &task, "cat file").await, "kept\n");
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
}

#[tokio::test]
async fn engine_one_that_hangs_is_given_up_in_bounded_time_and_the_task_goes_on() {
    require_private_engine!(Dockerd);
    let engine = PrivateEngine::start(&[]).await;
    let home = home_on(&engine);
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let other = armor.lifecycle().create(CreateTask::named("other".parse().unwrap())).await;
    let other = other.unwrap();
    engine.freeze();
    // Commands in a sandbox that runs do not need it.
    assert_eq!(sh(&armor, &task, "echo without").await, "without\n");
    let begun = Instant::now();
    let failed = attach(&armor, &other).await.unwrap_err();
    assert_eq!(failed.code(), Code::EngineTimeout);
    let doctor = armor.lifecycle().runtime().probe().await.unwrap_err();
    assert_eq!(doctor.code(), Code::EngineTimeout);
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    armor.close().await;

    // A process that has not seen the engine yet does no worse.
    let begun = Instant::now();
    let armor = open(&home).await;
    assert_eq!(fails(&armor, &task).await, Code::EngineTimeout);
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    engine.thaw();
    assert_eq!(sh(&armor, &task, "echo with").await, "with\n");
    for task in [task, attach(&armor, &other).await.unwrap()] {
        armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    }
    armor.close().await;
}

#[tokio::test]
async fn engine_one_that_is_slow_is_waited_for() {
    require_private_engine!(Dockerd);
    let engine = PrivateEngine::start(&[]).await;
    let home = home_on(&engine).with("ARMOR_ENGINE_TIMEOUT_SECONDS", "60");
    let armor = open(&home).await;
    let stop = CancellationToken::new();
    let attaching = async {
        let task = attached(&armor, &home.repository()).await;
        stop.cancel();
        task
    };
    // It stands still most of the time.
    let hindering = async {
        while !stop.is_cancelled() {
            engine.freeze();
            tokio::time::sleep(Duration::from_millis(90)).await;
            engine.thaw();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (task, ()) = tokio::join!(attaching, hindering);
    assert_eq!(sh(&armor, &task, "cat one.txt").await, "one");
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
}

#[tokio::test]
async fn engine_one_that_is_killed_while_a_sandbox_is_made_leaves_one_sandbox_in_the_end() {
    require_private_engine!(Dockerd);
    let mut engine = PrivateEngine::start(&[]).await;
    let home = home_on(&engine);
    let armor = open(&home).await;
    let repository = home.repository();
    for delay in [5, 20, 40, 60, 90, 130] {
        let mut request = CreateTask::named("a task".parse().unwrap());
        request.workspace = Some(repository.path().to_owned());
        let task = armor.lifecycle().create(request).await.unwrap();
        let attaching = attach(&armor, &task);
        let killing = async {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            engine.kill();
        };
        let begun = Instant::now();
        let (attached, ()) = tokio::join!(attaching, killing);
        assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
        if let Err(error) = attached {
            assert!(
                matches!(
                    error.code(),
                    Code::EngineUnavailable | Code::EngineFailed | Code::EngineTimeout
                ),
                "{error:?}"
            );
        }
        engine.start_again().await;
        let task = attach(&armor, &task).await.unwrap();
        assert_eq!(sh(&armor, &task, "cat one.txt").await, "one");
        armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
        assert!(armor.lifecycle().runtime().list().await.unwrap().is_empty());
    }
    armor.close().await;
}

// R58
#[tokio::test]
async fn engine_one_over_tls_is_used_by_who_has_its_certificates_and_by_nobody_else() {
    require_private_engine!(Dockerd);
    let (engine, address) = PrivateEngine::over_tls().await;
    let certificates = engine.certificates().display().to_string();
    let home = Home::new()
        .with("ARMOR_ENGINE_HOST", &address)
        .with("ARMOR_ENGINE_CERTIFICATES", certificates);
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    assert_eq!(sh(&armor, &task, "cat one.txt").await, "one");
    let info = armor.lifecycle().runtime().probe().await.unwrap();
    assert_eq!((info.endpoint, info.outlives_us), (address.clone(), false));
    armor.close().await;

    // Whoever has another authority does not take the engine for his own; the engine takes nobody's
    // certificate that its authority has not signed; and nothing goes in the clear.
    let strangers = tempfile::tempdir().unwrap();
    write_certificates(strangers.path());
    let mixed = |from_stranger: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            let is_his = from_stranger.contains(&name);
            let source = if is_his { strangers.path().to_owned() } else { engine.certificates() };
            std::fs::copy(source.join(name), folder.path().join(name)).unwrap();
        }
        folder
    };
    for folder in [mixed(&["ca.pem"]), mixed(&["cert.pem", "key.pem"])] {
        let path = folder.path().display().to_string();
        let home =
            Home::new().with("ARMOR_ENGINE_HOST", &address).with("ARMOR_ENGINE_CERTIFICATES", path);
        untrusted(&home).await;
    }
    untrusted(&Home::new().with("ARMOR_ENGINE_HOST", &address)).await;
    let by_name = address.replace("127.0.0.1", "localhost");
    untrusted(&home.with("ARMOR_ENGINE_HOST", by_name)).await;
}

async fn untrusted(home: &Home) {
    let armor = open(home).await;
    let refused = armor.lifecycle().runtime().probe().await.unwrap_err();
    assert!(matches!(refused, RuntimeError::Untrusted { .. }), "{refused:?}");
    armor.close().await;
}

// R58: as `docker context create` leaves it.
#[tokio::test]
async fn engine_one_that_a_docker_context_names_is_found_with_its_certificates() {
    require_private_engine!(Dockerd);
    let (engine, address) = PrivateEngine::over_tls().await;
    let home = Home::new().with("DOCKER_CONTEXT", "far");
    let contexts = home.user().join(".docker/contexts");
    let (meta, tls) = (contexts.join("meta/0af1"), contexts.join("tls/0af1/docker"));
    std::fs::create_dir_all(&meta).unwrap();
    let content = format!(
        r#"{{"Name":"far","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{address}","SkipTLSVerify":false}}}}}}"#
    );
    std::fs::write(meta.join("meta.json"), content).unwrap();
    std::fs::create_dir_all(&tls).unwrap();
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        std::fs::copy(engine.certificates().join(name), tls.join(name)).unwrap();
    }
    let armor = open(&home).await;
    assert_eq!(armor.lifecycle().runtime().probe().await.unwrap().endpoint, address);
    armor.close().await;
}

// R58: a task's life on Podman, through its Docker API.
#[tokio::test]
async fn engine_podman_is_one_like_others() {
    require_private_engine!(Podman);
    let engine = PrivateEngine::podman().await;
    let home = home_on(&engine).with("ARMOR_ENGINE_TIMEOUT_SECONDS", "60");
    let armor = open(&home).await;
    let info = armor.lifecycle().runtime().probe().await.unwrap();
    assert_eq!((info.name.as_str(), info.outlives_us), ("Podman", true));
    let repository = home.repository();
    let task = attached(&armor, &repository).await;
    assert_eq!(sh(&armor, &task, "cat one.txt; echo kept > file").await, "one");
    let sandbox = armor.lifecycle().runtime().find(&task.id).await.unwrap().unwrap();
    engine.docker().kill_container(sandbox.id.as_str(), None).await.unwrap();
    assert_eq!(sh(&armor, &task, "cat file").await, "kept\n");
    let closed = sh(&armor, &task, "grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status").await;
    assert_eq!(closed, "CapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    let figures = armor.lifecycle().figures(Duration::from_millis(100)).await.unwrap();
    assert!(figures[0].memory_bytes > 0 && figures[0].pids > 0, "{figures:?}");
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    assert!(armor.lifecycle().runtime().belongings(None).await.unwrap().is_empty());
    armor.close().await;
}

// R51: where the engine has user namespaces, commands are nobody outside, and work all the same.
#[tokio::test]
async fn engine_one_with_user_namespaces_makes_commands_nobody_outside() {
    require_private_engine!(Dockerd);
    let engine = PrivateEngine::with_user_namespaces().await;
    let home = home_on(&engine).with("ARMOR_WORKSPACE_MODES", "repository,copy,bind");
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let line = "id -u; touch made ~/kept; cat /run/armor/executions/*/stdout";
    let said = sh(&armor, &task, line).await;
    let user = UserIds::UNPRIVILEGED.uid;
    assert!(said.starts_with(&format!("{user}\n")), "{said}");
    let outside = |path: PathBuf| path.metadata().unwrap().uid();
    let folder = armor.lifecycle().folder(&task.id);
    assert_eq!(outside(folder.workspace().join("made")), FIRST_USER + user);
    assert_eq!(outside(folder.memory().join("kept")), FIRST_USER + user);
    let info = armor.lifecycle().runtime().probe().await.unwrap();
    assert!(info.outlives_us && info.security.contains(&"userns".to_owned()), "{info:?}");

    // A user's own folder belongs to somebody who is nobody inside.
    let mut request = CreateTask::named("a task".parse().unwrap());
    let bound = home.user().join("folder");
    std::fs::create_dir(&bound).unwrap();
    std::os::unix::fs::chown(&bound, Some(user), Some(user)).unwrap();
    request.workspace = Some(bound.clone());
    request.workspace_mode = WorkspaceMode::Bind;
    let other = armor.lifecycle().create(request).await.unwrap();
    let error = attach(&armor, &other).await.unwrap_err();
    assert_eq!(error.code(), Code::EngineUnsupported, "{error}");
    assert_eq!(outside(bound), user);
    for task in [task, other] {
        armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    }
    armor.close().await;
}
