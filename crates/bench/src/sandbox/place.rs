//! Where sandboxes are measured: a temporary home, a runtime of ours, and the bare engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use armor_core::id::{HomeId, IdSource, RandomIds};
use armor_core::sandbox::{
    Access, Limits, Mount, NetworkMode, Runtime, SandboxSpec, UserIds, paths,
};
use armor_core::time::{Clock, SystemClock};
use armor_docker::{DockerRuntime, Endpoint, Engine, RunnerFolders};
use armor_testkit::{Home, engine};

use super::bare::Bare;
use crate::Outcome;

/// A home of its own on the engine. When it is dropped, everything of it goes.
pub(super) struct Place {
    pub(super) runtime: DockerRuntime,
    pub(super) bare: Bare,
    pub(super) ids: RandomIds,
    /// What the bare containers and those of [`Place::runtime`] are labelled with.
    label: HomeId,
    home: Home,
}

impl Place {
    pub(super) async fn new() -> Outcome<Self> {
        let (home, ids) = (Home::new(), RandomIds::default());
        let label = ids.home_id(SystemClock.now());
        let endpoint = Endpoint::discover("", None, &home.environment())?;
        let engine = Arc::new(Engine::new(endpoint, Duration::from_mins(1)));
        let files = home.user().join("runners");
        let runners = RunnerFolders { trash: files.join("trash"), files };
        let runtime = DockerRuntime::new(engine, label.clone(), Some(runners));
        let bare = Bare::new(label.clone()).await?;
        Ok(Self { runtime, bare, ids, label, home })
    }

    /// The home that the lifecycle can open.
    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// A sandbox as a task without a repository gets it: three folders, no network.
    pub(super) fn spec(&self, limits: Limits) -> Outcome<SandboxSpec> {
        let task = self.ids.task_id(SystemClock.now());
        let mount = |name: &str, target: &str, access| -> Outcome<Mount> {
            let source: PathBuf = self.home.user().join(name);
            std::fs::create_dir_all(&source)?;
            Ok(Mount { source, target: target.to_owned(), access })
        };
        Ok(SandboxSpec {
            task,
            image: engine::image(),
            user: UserIds::UNPRIVILEGED,
            mounts: vec![
                mount("workspace", paths::WORKSPACE, Access::ReadWrite)?,
                mount("memory", paths::MEMORY, Access::ReadWrite)?,
                mount("executions", paths::EXECUTIONS, Access::ReadOnly)?,
            ],
            network: NetworkMode::None,
            limits,
        })
    }

    /// Fails when the bare container is not the one that ours has become.
    pub(super) async fn check_same_hardening(&self) -> Outcome {
        let spec = self.spec(Limits::default())?;
        let ours = self.runtime.create(&spec).await?.id;
        self.runtime.start(&ours, &spec).await?;
        let bare = self.bare.create_and_start(&spec).await?;
        let difference = self.bare.difference(ours.as_str(), &bare).await?;
        self.runtime.remove(&spec.task).await?;
        self.bare.remove(&bare).await?;
        match difference {
            None => Ok(()),
            Some(text) => Err(format!("the baseline's container differs from ours: {text}").into()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        engine::remove_all_of_blocking(self.label.as_str());
    }
}
