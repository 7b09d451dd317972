//! The pool: sandboxes that run before anybody asks for them.
//!
//! A pooled sandbox is that of a task which does not exist yet: it has the task's id, its labels, its
//! folders and its mounts. Whoever creates a task that wants just such a sandbox takes that id for it,
//! and from then on nothing tells it from one that was made for the task. So a sandbox can be claimed
//! once only: its file in the pool's folder is renamed by one claimer, and a task's id is taken once.

mod claim;
mod fill;
mod shelf;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use armor_core::sandbox::{ImageName, Limits, NetworkMode};
use armor_core::task::{Folder, SandboxRequest, Task};
use serde::{Deserialize, Serialize};

pub(crate) use claim::Claim;
pub use shelf::Pool;

/// What a sandbox is made from, but for whose it is. Two tasks with the same one can have each other's
/// sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ingredients {
    pub(crate) image: ImageName,
    pub(crate) network: NetworkMode,
    pub(crate) limits: Limits,
    /// The user's repository, of which its working copy is.
    pub(crate) repository: Option<PathBuf>,
    /// The objects that it shares with that.
    pub(crate) objects: Option<PathBuf>,
    /// The certificates that its programs trust.
    pub(crate) certificates: Option<PathBuf>,
    /// The folder of the user's that it works on. Nothing is made ahead of that: it may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<Folder>,
}

impl Ingredients {
    /// Of what is asked for, with this repository of the user's and its objects.
    pub(crate) fn of(
        asked: &SandboxRequest,
        repository: Option<PathBuf>,
        objects: Option<PathBuf>,
    ) -> Self {
        Self {
            image: asked.image.clone(),
            network: asked.network,
            limits: asked.limits,
            repository,
            objects,
            certificates: asked.certificates.clone(),
            folder: asked.folder.clone(),
        }
    }

    /// Of a task.
    pub(crate) fn of_task(task: &Task) -> Self {
        let repository = task.repository.as_ref();
        let objects = repository.and_then(|repository| repository.objects.clone());
        Self::of(&task.sandbox, repository.map(|repository| repository.path.clone()), objects)
    }
}

/// What a pooled sandbox was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pooled {
    pub(crate) ingredients: Ingredients,
    /// The content that the image's name stood for then.
    pub(crate) image_id: String,
    /// What its mounts are of, beside the task's own folders: device and number. A mount stays with
    /// what was there when it was made, whatever is at its path now.
    mounted: Vec<(u64, u64)>,
}

impl Pooled {
    /// What a sandbox made now would be made from.
    pub(crate) fn now(ingredients: Ingredients, image_id: String) -> io::Result<Self> {
        let paths = ingredients.objects.iter().chain(&ingredients.certificates);
        let mounted = paths.map(|path| path.metadata().map(|found| (found.dev(), found.ino())));
        let mounted = mounted.collect::<io::Result<_>>()?;
        Ok(Self { ingredients, image_id, mounted })
    }
}
