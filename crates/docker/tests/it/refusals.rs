//! What an engine cannot give, told before anything is made.

use std::sync::Arc;
use std::time::Duration;

use armor_core::config::Environment;
use armor_core::error::{Code, Diagnostic};
use armor_core::id::{IdSource, RandomIds, SandboxId};
use armor_core::sandbox::{Images, Limits, NetworkMode, Runtime, SandboxSpec};
use armor_core::time::{Clock, SystemClock};
use armor_docker::{DockerImages, DockerRuntime, Endpoint, Engine};
use armor_testkit::{engine, require_engine};
use bollard::query_parameters::{ImportImageOptionsBuilder, RemoveImageOptionsBuilder};
use futures_util::TryStreamExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use crate::support::Place;

/// An image without files, for a machine that this is not.
fn foreign_image(name: &str) -> Vec<u8> {
    let architecture = if cfg!(target_arch = "s390x") { "amd64" } else { "s390x" };
    let image = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    );
    let manifest = format!(r#"[{{"Config":"image.json","RepoTags":["{name}"],"Layers":[]}}]"#);
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in [("image.json", image), ("manifest.json", manifest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(text.len()).unwrap());
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

#[tokio::test]
async fn engine_an_image_for_another_platform_is_refused() {
    require_engine!();
    let name = "armor-test-foreign:1";
    let docker = engine::docker();
    let body = bollard::body_full(foreign_image(name).into());
    let loaded = docker.import_image(ImportImageOptionsBuilder::new().build(), body, None);
    let _said: Vec<_> = loaded.try_collect().await.unwrap();

    let endpoint = Endpoint::discover("", None, &Environment::of_process()).unwrap();
    let engine = Arc::new(Engine::new(endpoint, Duration::from_mins(1)));
    let folder = tempfile::tempdir().unwrap();
    let images = DockerImages::new(engine, folder.path().join("lock"));
    let checked = images.check(&name.parse().unwrap()).await;
    let remove = RemoveImageOptionsBuilder::new().force(true).build();
    docker.remove_image(name, Some(remove), None).await.unwrap();
    let error = checked.unwrap_err();
    assert_eq!(error.code(), Code::ImageOtherPlatform, "{error}");
    assert!(error.to_string().contains("linux/"), "{error}");
}

#[tokio::test]
async fn engine_more_than_there_is_is_refused_and_nothing_is_made() {
    require_engine!();
    let place = Place::new();
    let spec = place.spec(NetworkMode::None);
    for limits in [
        Limits { memory_mib: 4 << 20, ..spec.limits },
        Limits { cpu_millis: 1 << 20, ..spec.limits },
    ] {
        let spec = SandboxSpec { limits, ..spec.clone() };
        let error = place.runtime.create(&spec).await.unwrap_err();
        assert_eq!(error.code(), Code::EngineUnsupported, "{error}");
        assert_eq!(place.runtime.find(&spec.task).await.unwrap(), None);
    }
}

/// Answers what an engine from before this program's time would.
async fn answer_as_an_old_engine(listener: UnixListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut lines = BufReader::new(&mut stream).lines();
        while lines.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
        let body = r#"{"Version":"18.09.1","ApiVersion":"1.39","MinAPIVersion":"1.12"}"#;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_told_of_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let answering = tokio::spawn(answer_as_an_old_engine(UnixListener::bind(&socket).unwrap()));
    let address = format!("unix://{}", socket.display());
    let endpoint = Endpoint::discover(&address, None, &Environment::default()).unwrap();
    let engine = Arc::new(Engine::new(endpoint, Duration::from_mins(1)));
    let images = DockerImages::new(engine, folder.path().join("lock"));
    let error = images.check(&"any:1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.code(), Code::EngineTooOld, "{error}");
    assert!(error.to_string().contains("1.41"), "{error}");
    answering.abort();
}

/// Answers what an engine does that stalls in the middle of all that is large.
async fn answer_and_stall(listener: UnixListener) {
    let mut stalled = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut lines = BufReader::new(&mut stream).lines();
        let asked = lines.next_line().await.unwrap().unwrap();
        while lines.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
        let body = r#"{"Version":"28.0.1","ApiVersion":"1.48","MinAPIVersion":"1.24"}"#;
        let is_large = asked.contains("/archive");
        let length = if is_large { 1 << 20 } else { body.len() };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let answer = format!("{head}content-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        if is_large {
            stalled.push(stream);
        }
    }
}

// R59: also where it has begun to answer.
#[tokio::test]
async fn an_engine_that_stalls_in_the_middle_of_an_answer_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let answering = tokio::spawn(answer_and_stall(UnixListener::bind(&socket).unwrap()));
    let address = format!("unix://{}", socket.display());
    let endpoint = Endpoint::discover(&address, None, &Environment::default()).unwrap();
    let engine = Arc::new(Engine::new(endpoint, Duration::from_secs(2)));
    let home = RandomIds::default().home_id(SystemClock.now());
    let runtime = DockerRuntime::new(engine, home, None);
    let sandbox = SandboxId::parse("c1").unwrap();
    let error = runtime.copy_out(&sandbox, "/workspace").await.unwrap_err();
    assert_eq!(error.code(), Code::EngineTimeout, "{error}");
    answering.abort();
}
