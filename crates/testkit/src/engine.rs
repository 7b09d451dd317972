//! The real engine, and the tests' image on it.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;

use armor_core::file_lock::FileLock;
use armor_core::sandbox::ImageName;
use armor_docker::HOME_LABEL;
use bollard::Docker;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ImportImageOptionsBuilder, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::process::Command;

/// Changed when the image's content changes.
const IMAGE: &str = "agentic-armor/test:1";

/// The engine's client, for looking at what Armor made from outside.
pub fn docker() -> Docker {
    Docker::connect_with_defaults().expect("is_there() was asked first")
}

/// Whether an engine answers, with the tests' image on it, made if it is not there.
pub async fn is_there() -> bool {
    let answers = match Docker::connect_with_defaults() {
        Ok(docker) => docker.ping().await.is_ok(),
        Err(_) => false,
    };
    if answers {
        ensure_image().await;
    } else {
        crate::skipped("no container engine answers");
    }
    answers
}

/// The tests' image: a static busybox and nothing else.
pub fn image() -> ImageName {
    IMAGE.parse().unwrap()
}

async fn ensure_image() {
    let docker = docker();
    if docker.inspect_image(IMAGE).await.is_ok() {
        return;
    }
    // One at a time: of two that are imported, the engine would keep the first without a name.
    let lock = std::env::temp_dir().join("armor-testkit-image.lock");
    let _lock = FileLock::hold(&lock).await.unwrap();
    if docker.inspect_image(IMAGE).await.is_ok() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker-images/test/rootfs.sh");
    let made = Command::new("sh")
        .arg(script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "the tests' image could not be made");
    let (repository, tag) = IMAGE.split_once(':').unwrap();
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).build();
    let body = bollard::body_full(made.stdout.into());
    let imported = docker.create_image(Some(options), Some(body), None);
    let _said: Vec<_> = imported.try_collect().await.unwrap();
}

/// Gives another engine the tests' image, from the engine that has it.
pub(crate) async fn pass_image_on(to: &Docker) {
    let image: Vec<Bytes> = docker().export_image(IMAGE).try_collect().await.unwrap();
    let body = bollard::body_full(image.concat().into());
    let loaded = to.import_image(ImportImageOptionsBuilder::new().build(), body, None);
    let _said: Vec<_> = loaded.try_collect().await.unwrap();
}

/// The names of all containers and networks of a home.
pub async fn left_of(home: &str) -> Vec<String> {
    let docker = docker();
    let filters = filter(home);
    let containers = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let networks = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let mut names = Vec::new();
    for container in docker.list_containers(Some(containers)).await.unwrap() {
        names.extend(container.names.unwrap_or_default());
    }
    for network in docker.list_networks(Some(networks)).await.unwrap() {
        names.extend(network.name);
    }
    names
}

/// Removes all containers and networks of a home, on the tests' engine.
pub fn remove_all_of_blocking(home: &str) {
    if let Ok(docker) = Docker::connect_with_defaults() {
        blocking(remove_all(&docker, filter(home)));
    }
}

/// Removes all containers of an engine.
pub(crate) fn remove_all_blocking(docker: &Docker) {
    blocking(remove_all(docker, HashMap::new()));
}

/// Waits on a thread of its own, because a test's runtime cannot wait in a drop.
fn blocking(removal: impl Future<Output = ()> + Send) {
    std::thread::scope(|scope| {
        let removing = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(removal);
        });
        // The test has its own outcome, whatever becomes of this.
        let _removed = removing.join();
    });
}

async fn remove_all(docker: &Docker, filters: HashMap<String, Vec<String>>) {
    let containers = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    for container in docker.list_containers(Some(containers)).await.unwrap_or_default() {
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let id = container.id.unwrap_or_default();
        // Another removal may be under way.
        let _removed = docker.remove_container(&id, Some(force)).await;
    }
    let networks = ListNetworksOptionsBuilder::new().filters(&filters).build();
    for network in docker.list_networks(Some(networks)).await.unwrap_or_default() {
        let _removed = docker.remove_network(&network.id.unwrap_or_default()).await;
    }
}

fn filter(home: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{HOME_LABEL}={home}")])])
}
