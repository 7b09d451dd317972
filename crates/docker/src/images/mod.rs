//! The images that sandboxes run: Armor's own are built when they are first needed.
//!
//! They are `FROM` a small Debian. Where the engine neither has `debian:trixie-slim` nor can pull
//! it, its root file system is bootstrapped from the distribution's mirror ([`bootstrap`]) and
//! imported. No image is ever taken from a registry under Armor's own name: a base is passed to a
//! build by its id, because a stranger may own that name there.

mod bootstrap;
mod build;

use std::path::PathBuf;
use std::sync::Arc;

use armor_core::file_lock::FileLock;
use armor_core::sandbox::{ImageName, Images, Progress, RuntimeError};
use async_trait::async_trait;
use bollard::models::ImageInspect;

use crate::engine::{Engine, status};

/// One of Armor's own images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recipe {
    /// Shell, git, curl, an editor, Node.js.
    Base,
    /// Compilers, Python, npm, TypeScript, and small tools.
    Developer,
}

impl Recipe {
    const ALL: [Self; 2] = [Self::Base, Self::Developer];

    fn of(image: &ImageName) -> Option<Self> {
        Self::ALL.into_iter().find(|recipe| recipe.name() == *image)
    }

    fn name(self) -> ImageName {
        match self {
            Self::Base => ImageName::base(),
            Self::Developer => ImageName::developer(),
        }
    }

    const fn dockerfile(self) -> &'static str {
        match self {
            Self::Base => {
                include_str!("../../../../docker-images/opencode-sandbox-base/Dockerfile")
            }
            Self::Developer => {
                include_str!("../../../../docker-images/opencode-sandbox-developer/Dockerfile")
            }
        }
    }
}

/// The images of one engine.
#[derive(Debug)]
pub struct DockerImages {
    engine: Arc<Engine>,
    /// Held while an image is built, so that two processes do not build the same one.
    lock: PathBuf,
}

impl DockerImages {
    /// The images of `engine`. `lock` is a file that all processes of this home name alike.
    pub fn new(engine: Arc<Engine>, lock: PathBuf) -> Self {
        Self { engine, lock }
    }

    /// The id of an image; none if the engine has not got it.
    async fn id_of(&self, image: &str) -> Result<Option<String>, RuntimeError> {
        let docker = self.engine.docker().await?;
        match self.engine.call("look at an image", docker.inspect_image(image)).await {
            Ok(found) => {
                self.check_platform(image, &found).await?;
                Ok(found.id)
            }
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether an image is for machines such as the engine's, as far as it says.
    async fn check_platform(&self, image: &str, found: &ImageInspect) -> Result<(), RuntimeError> {
        let engine = &self.engine.features().await?.platform;
        let (Some(system), Some(architecture)) = (&found.os, &found.architecture) else {
            return Ok(());
        };
        let platform = format!("{system}/{architecture}");
        if architecture.is_empty() || platform == *engine {
            return Ok(());
        }
        Err(RuntimeError::ImageForOthers {
            image: image.to_owned(),
            platform,
            engine: engine.clone(),
        })
    }

    async fn build_recipe(
        &self,
        recipe: Recipe,
        progress: &dyn Progress,
    ) -> Result<(), RuntimeError> {
        let base = match recipe {
            Recipe::Base => bootstrap::debian(self, progress).await?,
            Recipe::Developer => self.base_for_developer(progress).await?,
        };
        build::build(&self.engine, &recipe.name(), recipe.dockerfile(), &base, progress).await
    }

    async fn base_for_developer(&self, progress: &dyn Progress) -> Result<String, RuntimeError> {
        let name = Recipe::Base.name();
        if let Some(id) = self.id_of(name.as_str()).await? {
            return Ok(id);
        }
        let debian = bootstrap::debian(self, progress).await?;
        build::build(&self.engine, &name, Recipe::Base.dockerfile(), &debian, progress).await?;
        self.id_of(name.as_str()).await?.ok_or(RuntimeError::ImageNotFound { image: name })
    }

    async fn hold_lock(&self) -> Result<FileLock, RuntimeError> {
        FileLock::hold(&self.lock).await.map_err(|error| RuntimeError::Engine {
            action: "lock the images of this home",
            source: Box::new(error),
        })
    }
}

#[async_trait]
impl Images for DockerImages {
    async fn check(&self, image: &ImageName) -> Result<(), RuntimeError> {
        if Recipe::of(image).is_some() || self.id_of(image.as_str()).await?.is_some() {
            return Ok(());
        }
        Err(RuntimeError::ImageNotFound { image: image.clone() })
    }

    async fn id(&self, image: &ImageName) -> Result<Option<String>, RuntimeError> {
        self.id_of(image.as_str()).await
    }

    async fn ensure(&self, image: &ImageName, progress: &dyn Progress) -> Result<(), RuntimeError> {
        if self.id_of(image.as_str()).await?.is_some() {
            return Ok(());
        }
        let Some(recipe) = Recipe::of(image) else {
            return Err(RuntimeError::ImageNotFound { image: image.clone() });
        };
        let _lock = self.hold_lock().await?;
        // Somebody else may have built it while we waited.
        if self.id_of(image.as_str()).await?.is_some() {
            return Ok(());
        }
        self.build_recipe(recipe, progress).await
    }

    async fn build(&self, image: &ImageName, progress: &dyn Progress) -> Result<(), RuntimeError> {
        let Some(recipe) = Recipe::of(image) else {
            return Err(RuntimeError::ImageNotFound { image: image.clone() });
        };
        let _lock = self.hold_lock().await?;
        self.build_recipe(recipe, progress).await
    }

    async fn known(&self) -> Result<Vec<(ImageName, bool)>, RuntimeError> {
        let mut known = Vec::new();
        for recipe in Recipe::ALL {
            let name = recipe.name();
            let is_there = self.id_of(name.as_str()).await?.is_some();
            known.push((name, is_there));
        }
        Ok(known)
    }
}
