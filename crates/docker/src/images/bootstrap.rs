//! The small Debian that all images stand on: what the engine has, what it can pull, or what the
//! distribution's mirror gives.

use std::process::Stdio;
use std::time::Duration;

use armor_core::sandbox::{Progress, RuntimeError};
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::TryStreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::DockerImages;

const OFFICIAL: &str = "debian:trixie-slim";
/// What is made here, under a name that cannot be taken for the official one.
const OWN_REPOSITORY: &str = "agentic-armor/debian";
const OWN_TAG: &str = "trixie-slim";
const SCRIPT: &str = include_str!("../../../../docker-images/debian-base/bootstrap.sh");
/// How long a pull may take; the image has 30 MB.
const PULL_LIMIT: Duration = Duration::from_mins(5);
/// How long the bootstrap may take; it is done in seconds with a near mirror.
const BOOTSTRAP_LIMIT: Duration = Duration::from_mins(15);

/// The id of a Debian image on the engine, made if there is none.
pub(super) async fn debian(
    images: &DockerImages,
    progress: &dyn Progress,
) -> Result<String, RuntimeError> {
    let own = format!("{OWN_REPOSITORY}:{OWN_TAG}");
    for name in [OFFICIAL, &own] {
        if let Some(id) = images.id_of(name).await? {
            return Ok(id);
        }
    }
    progress.step(&format!("pulling {OFFICIAL}"));
    match pull(images).await {
        Ok(()) => {}
        Err(reason) => {
            progress.step(&format!("it cannot be pulled ({reason})"));
            progress.step("bootstrapping Debian from its mirror instead");
            import(images, progress).await?;
        }
    }
    for name in [OFFICIAL, &own] {
        if let Some(id) = images.id_of(name).await? {
            return Ok(id);
        }
    }
    Err(failed("the engine took the image in and has not got it".to_owned()))
}

async fn pull(images: &DockerImages) -> Result<(), String> {
    let docker = images.engine.docker().await.map_err(|error| error.to_string())?;
    let (repository, tag) = OFFICIAL.split_once(':').unwrap_or((OFFICIAL, "latest"));
    let options = CreateImageOptionsBuilder::new().from_image(repository).tag(tag).build();
    let pulling = docker.create_image(Some(options), None, None).try_for_each(|_| async { Ok(()) });
    match tokio::time::timeout(PULL_LIMIT, pulling).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(bollard::errors::Error::DockerResponseServerError { message, .. })) => {
            Err(message.lines().next().unwrap_or_default().to_owned())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

async fn import(images: &DockerImages, progress: &dyn Progress) -> Result<(), RuntimeError> {
    let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    // To a file first: the engine takes in an archive that was cut off without a complaint.
    let archive = folder.path().join("rootfs.tar");
    run_script(folder.path(), &archive, progress).await?;
    let bytes = tokio::fs::read(&archive).await.map_err(|error| failed(error.to_string()))?;
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(OWN_REPOSITORY)
        .tag(OWN_TAG)
        .changes(vec![r#"CMD ["bash"]"#.to_owned()])
        .build();
    let docker = images.engine.patient().await?;
    let body = bollard::body_full(bytes.into());
    let importing = docker.create_image(Some(options), Some(body), None);
    let importing = importing.try_for_each(|_| async { Ok(()) });
    images.engine.call_patiently("import an image", importing).await
}

async fn run_script(
    folder: &std::path::Path,
    archive: &std::path::Path,
    progress: &dyn Progress,
) -> Result<(), RuntimeError> {
    let io = |error: std::io::Error| failed(error.to_string());
    let script = folder.join("bootstrap.sh");
    std::fs::write(&script, SCRIPT).map_err(io)?;
    let mut running = Command::new("sh")
        .arg(&script)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(archive).map_err(io)?)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(io)?;
    let Some(errors) = running.stderr.take() else {
        return Err(failed("no pipe".to_owned()));
    };
    let watch = async {
        let mut lines = BufReader::new(errors).lines();
        let mut last = Vec::new();
        while let Some(line) = lines.next_line().await? {
            // mmdebstrap marks its own steps so.
            if let Some(step) = line.strip_prefix("I: ") {
                progress.step(step);
            }
            last.push(line);
            last.drain(..last.len().saturating_sub(12));
        }
        Ok::<_, std::io::Error>((running.wait().await?, last))
    };
    let ended = tokio::time::timeout(BOOTSTRAP_LIMIT, watch).await;
    let (status, last) = ended
        .map_err(|_| failed(format!("it did not end within {} s", BOOTSTRAP_LIMIT.as_secs())))?
        .map_err(io)?;
    if status.success() { Ok(()) } else { Err(failed(last.join("\n"))) }
}

fn failed(reason: String) -> RuntimeError {
    RuntimeError::ImageBuild {
        image: format!("{OWN_REPOSITORY}:{OWN_TAG}"),
        reason,
        next_step: format!(
            "Let the engine reach a registry that has {OFFICIAL}, or bring it from another \
             machine (`docker save {OFFICIAL} | ssh this-machine docker load`), or run \
             `armor image build` as root on a Debian that reaches its mirror."
        ),
    }
}
