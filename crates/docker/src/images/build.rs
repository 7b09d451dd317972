//! Building an image from a Dockerfile that needs nothing beside it.

use std::collections::HashMap;
use std::time::Duration;

use armor_core::sandbox::{ImageName, Progress, RuntimeError};
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::TryStreamExt;

use crate::engine::Engine;

/// How much of a step's line is shown: whole shell scripts stand in some.
const STEP_WIDTH: usize = 72;
/// How many of the build's last lines an error quotes.
const QUOTED: usize = 12;

/// How long a build may say nothing, such as while it takes in its packages.
const SILENCE: Duration = Duration::from_mins(15);

/// Builds `dockerfile` on the image `base`, which is named by its id.
pub(super) async fn build(
    engine: &Engine,
    image: &ImageName,
    dockerfile: &str,
    base: &str,
    progress: &dyn Progress,
) -> Result<(), RuntimeError> {
    progress.step(&format!("building {image}"));
    let arguments = HashMap::from([("BASE_IMAGE", base), ("VERSION", env!("CARGO_PKG_VERSION"))]);
    let options = BuildImageOptionsBuilder::new()
        .t(image.as_str())
        .buildargs(&arguments)
        .rm(true)
        .forcerm(true)
        .build();
    let context = context(dockerfile).map_err(|error| failed(image, &error.to_string()))?;
    let docker = engine.patient().await?;
    let mut said = docker.build_image(options, None, Some(bollard::body_full(context.into())));
    let mut last: Vec<String> = Vec::new();
    loop {
        let Ok(next) = tokio::time::timeout(SILENCE, said.try_next()).await else {
            return Err(RuntimeError::Timeout { action: "go on with a build", limit: SILENCE });
        };
        match next {
            Ok(None) => return Ok(()),
            Ok(Some(piece)) => {
                for line in piece.stream.iter().flat_map(|text| text.lines()) {
                    let line = line.trim_end();
                    if line.is_empty() {
                        continue;
                    }
                    if line.starts_with("Step ") {
                        progress.step(&line.chars().take(STEP_WIDTH).collect::<String>());
                    }
                    last.push(line.to_owned());
                }
                last.drain(..last.len().saturating_sub(QUOTED));
                if let Some(detail) = piece.error_detail {
                    last.extend(detail.message);
                    return Err(failed(image, &last.join("\n")));
                }
            }
            Err(bollard::errors::Error::DockerStreamError { error }) => {
                last.push(error);
                return Err(failed(image, &last.join("\n")));
            }
            Err(error) => return Err(engine.translate("build an image", error)),
        }
    }
}

fn failed(image: &ImageName, reason: &str) -> RuntimeError {
    RuntimeError::ImageBuild {
        image: image.to_string(),
        reason: reason.to_owned(),
        next_step: "The build takes its packages from the Debian mirror: check that containers \
                    reach it, and run `armor image build` again."
            .to_owned(),
    }
}

fn context(dockerfile: &str) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append_data(&mut header, "Dockerfile", dockerfile.as_bytes())?;
    archive.into_inner()
}
