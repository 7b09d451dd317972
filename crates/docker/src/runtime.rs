//! [`Runtime`] on Docker Engine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::container::{self, Surroundings};
use crate::engine::{Engine, status};
use crate::exec::{engine_broke, gone_if_not_there};
use crate::inside::{self, Arrival, Inside, Isolation, RunnerFolders, is_ours};
use crate::kernel::Confinement;
use crate::labels::{TASK_LABEL, filter, name};
use crate::network::Reach;
use crate::{attended, exec_terminal, kill, nameless, network, signal, verify};
use armor_core::id::{ExecutionId, HomeId, SandboxId, TaskId};
use armor_core::sandbox::{
    Belonging, Capacity, CommandEnd, CommandProgress, Egress, ExecRequest, ImageName, NetworkMode,
    Runtime, RuntimeError, RuntimeInfo, Sandbox, SandboxSpec, SandboxState, SandboxStats, Signal,
    Terminal, TerminalRequest, UserIds,
};
use armor_runner::{Facts, RunnerError};
use async_trait::async_trait;
use bollard::models::{
    ContainerConfig, ContainerInspectResponse, ContainerMemoryStats, ContainerSummary,
    ContainerSummaryStateEnum,
};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptionsBuilder,
    DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StatsOptionsBuilder, StopContainerOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};

/// The most that is taken out of a sandbox in one copy, in bytes.
const COPY_LIMIT: usize = 256 << 20;

/// How long a runner may take to listen before its sandbox is restarted.
const LISTEN_LIMIT: Duration = Duration::from_secs(10);

/// Sandboxes of one home on one engine.
#[derive(Debug)]
pub struct DockerRuntime {
    engine: Arc<Engine>,
    home: HomeId,
    inside: Inside,
}

impl DockerRuntime {
    /// Sandboxes of `home` on `engine`, each with a program of ours as its first process, where the
    /// engine can run it. Without folders for that no sandbox has it. Nothing is asked of the engine
    /// yet.
    pub fn new(engine: Arc<Engine>, home: HomeId, runners: Option<RunnerFolders>) -> Self {
        let inside = Inside::new(engine.clone(), runners);
        Self { engine, home, inside }
    }

    async fn surroundings(&self, spec: &SandboxSpec) -> Result<Surroundings, RuntimeError> {
        let image = &spec.image;
        let docker = self.engine.docker().await?;
        let found =
            self.engine.call("look at an image", docker.inspect_image(image.as_str())).await;
        let found = found.map_err(|error| match status(&error) {
            Some(404) => RuntimeError::ImageNotFound { image: image.clone() },
            _ => error,
        })?;
        let engine = self.engine.features().await?;
        let volumes = found.config.and_then(|config| config.volumes).unwrap_or_default();
        Ok(Surroundings {
            image_volumes: volumes.into_iter().chain(engine.writable_path()).collect(),
            user_processes: engine.user_processes,
            seccomp: self.inside.seccomp().await?,
            runner: self.inside.mounts(&spec.task).await?,
        })
    }

    /// Whether an engine of another machine looked for our files there.
    fn is_far(&self, error: &RuntimeError) -> bool {
        let said = armor_core::error::chain(error);
        !self.engine.endpoint().is_local() && said.contains("bind source path does not exist")
    }

    /// Ends every process of a sandbox. Its runner tells what it sees then, if it can.
    async fn restarted(
        &self,
        sandbox: &SandboxId,
        places: &[String],
    ) -> Result<Option<Box<Facts>>, RuntimeError> {
        self.stop(sandbox, Duration::ZERO).await?;
        self.inside.before_restart(sandbox).await?;
        let docker = self.engine.docker().await?;
        let started = docker.start_container(sandbox.as_str(), None);
        self.engine.call("start a container", started).await?;
        let container = self.engine.inspect(sandbox).await?;
        let patience = self.engine.timeout();
        match self.inside.after_start(sandbox, &container, patience, places).await? {
            Arrival::There(seen) => Ok(seen),
            // It is empty, and goes on as what it was.
            Arrival::Not(RunnerError::OtherVersion { .. }) => Ok(None),
            Arrival::Not(error) => Err(inside::unreachable(sandbox, error)),
        }
    }

    /// Waits for the runner of a sandbox that was started, and hears from it whether what was asked for is
    /// in force.
    async fn look_inside(
        &self,
        sandbox: &SandboxId,
        spec: &SandboxSpec,
        container: &ContainerInspectResponse,
    ) -> Result<(), RuntimeError> {
        let asked = Isolation::of(spec, self.engine.features().await?, container);
        let places = asked.places();
        let arrival = self.inside.after_start(sandbox, container, LISTEN_LIMIT, &places).await?;
        let seen = match arrival {
            Arrival::There(seen) => seen,
            // That is what it will be, however often it is started.
            Arrival::Not(error @ RunnerError::OtherVersion { .. }) => {
                return Err(inside::unreachable(sandbox, error));
            }
            // Somebody has taken its socket away, perhaps long ago.
            Arrival::Not(error) => {
                tracing::warn!(%sandbox, %error, "restarting the sandbox");
                self.restarted(sandbox, &places).await?
            }
        };
        let missing = seen.map_or_else(Vec::new, |facts| asked.missing(&facts));
        if missing.is_empty() {
            return Ok(());
        }
        self.remove(&spec.task).await?;
        Err(RuntimeError::Weaker { missing: format!("{}, seen from inside", missing.join(", ")) })
    }

    /// Kills an execution. False when that does not get through.
    async fn try_kill(
        &self,
        sandbox: &SandboxId,
        execution: &ExecutionId,
        user: UserIds,
    ) -> Result<bool, RuntimeError> {
        match self.inside.kill(sandbox, execution).await {
            Ok(Some(killed)) => Ok(killed),
            Ok(None) => kill::kill(&self.engine, sandbox, execution, user).await,
            // Its runner does not answer, for whatever reason. The engine does.
            Err(
                RuntimeError::Unreachable { .. }
                | RuntimeError::Engine { .. }
                | RuntimeError::Timeout { .. },
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn containers(&self, task: Option<&TaskId>) -> Result<Vec<Sandbox>, RuntimeError> {
        let filters = filter(&self.home, task);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let docker = self.engine.docker().await?;
        let found =
            self.engine.call("list containers", docker.list_containers(Some(options))).await?;
        Ok(found.into_iter().filter_map(sandbox).collect())
    }
}

const fn no_egress() -> RuntimeError {
    RuntimeError::Unsupported {
        feature: "the network `egress`, whose proxy is reached through the program in the sandbox",
        next_step: "Use the network `none`, or an engine on this machine; `armor doctor` shows what it can have.",
    }
}

/// The memory that a container could not do without: what it uses, less the files that are only kept
/// in case they are read again. So the engine's own program counts it, too.
fn in_use(memory: ContainerMemoryStats) -> u64 {
    let figures = memory.stats.unwrap_or_default();
    // By the names of control groups of version 1 and 2.
    let kept = figures.get("total_inactive_file").or_else(|| figures.get("inactive_file"));
    memory.usage.unwrap_or(0).saturating_sub(kept.copied().unwrap_or(0))
}

/// A container that bears our labels. Others that happen to match the filter are left out.
fn sandbox(container: ContainerSummary) -> Option<Sandbox> {
    let task = container.labels?.remove(TASK_LABEL)?;
    let state = match container.state? {
        ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::RESTARTING => {
            SandboxState::Running
        }
        ContainerSummaryStateEnum::PAUSED => SandboxState::Paused,
        _ => SandboxState::Stopped,
    };
    Some(Sandbox {
        id: SandboxId::parse(container.id?).ok()?,
        task: TaskId::parse(task).ok()?,
        state,
    })
}

#[async_trait]
impl Runtime for DockerRuntime {
    async fn probe(&self) -> Result<RuntimeInfo, RuntimeError> {
        self.engine.probe(self.inside.is_possible().await?).await
    }

    async fn capacity(&self) -> Result<Capacity, RuntimeError> {
        Ok(self.engine.features().await?.capacity())
    }

    async fn create(&self, spec: &SandboxSpec) -> Result<Sandbox, RuntimeError> {
        if let Some(socket) = self.engine.endpoint().socket()
            && spec.mounts.iter().any(|mount| socket.starts_with(&mount.source))
        {
            return Err(RuntimeError::Unsupported {
                feature: "a sandbox that sees its socket",
                next_step: "Use a workspace in which the engine's socket is not.",
            });
        }
        self.capacity().await?.check(spec.limits)?;
        let surroundings = self.surroundings(spec).await?;
        match spec.network {
            NetworkMode::None => {}
            NetworkMode::Egress if surroundings.runner.is_some() => {}
            NetworkMode::Egress => return Err(no_egress()),
            NetworkMode::Internal if !self.engine.features().await?.has_closed_bridges() => {
                return Err(RuntimeError::Unsupported {
                    feature: "the network `internal`: by its bridge this machine could be reached",
                    next_step: "Use the network `none` or `egress`, or Docker Engine.",
                });
            }
            NetworkMode::Internal => {
                network::create(&self.engine, &self.home, &spec.task, Reach::Nobody).await?;
            }
            NetworkMode::Open => {
                network::create(&self.engine, &self.home, &spec.task, Reach::Everybody).await?;
            }
        }
        let body = container::body(&self.home, spec, &surroundings);
        let options =
            CreateContainerOptionsBuilder::new().name(&name(&self.home, &spec.task)).build();
        let docker = self.engine.docker().await?;
        let made = self
            .engine
            .call("make a container", docker.create_container(Some(options), body))
            .await;
        match made {
            Ok(made) => Ok(Sandbox {
                id: SandboxId::parse(made.id)
                    .map_err(|error| engine_broke("name a container", &error.to_string()))?,
                task: spec.task.clone(),
                state: SandboxState::Stopped,
            }),
            Err(error) if self.is_far(&error) => Err(RuntimeError::Unsupported {
                feature: "a task's files, which are on this machine and not on its own",
                next_step: "Use an engine of this machine; `armor doctor` shows which one is used.",
            }),
            // The name is taken, by the task's own container: engines say so in many ways.
            Err(error @ RuntimeError::Engine { .. }) => match self.find(&spec.task).await? {
                Some(there) => Ok(there),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn start(&self, sandbox: &SandboxId, spec: &SandboxSpec) -> Result<(), RuntimeError> {
        let docker = self.engine.docker().await?;
        self.inside.before_start(sandbox, spec).await?;
        self.engine
            .call("start a container", docker.start_container(sandbox.as_str(), None))
            .await
            .map_err(|error| match status(&error) {
                Some(404) => RuntimeError::SandboxGone { sandbox: sandbox.to_string() },
                _ => error,
            })?;
        let container = self.engine.inspect(sandbox).await?;
        let engine = self.engine.features().await?;
        let kernel = if engine.runs_here { Confinement::settled(&container).await } else { None };
        let asked = verify::Asked {
            kernel,
            home: &self.home,
            spec,
            engine,
            seccomp: &self.inside.seccomp().await?,
            runners: self.inside.place(),
        };
        let missing = verify::missing(&asked, &container);
        if verify::is_of_another_version(&missing, engine, &container)
            && self.inside.is_busy(sandbox).await.unwrap_or(false)
        {
            tracing::info!(%sandbox, "it stays as another version made it, while commands run in it");
        } else if !missing.is_empty() {
            self.remove(&spec.task).await?;
            return Err(RuntimeError::Weaker { missing: missing.join(", ") });
        }
        if container.state.as_ref().and_then(|state| state.running) == Some(true) {
            self.look_inside(sandbox, spec, &container).await
        } else if is_ours(&container) {
            Err(engine_broke("keep the container running", "its program has ended"))
        } else {
            // With an init, a container whose program is missing starts well and ends at once.
            Err(engine_broke("keep the container running", "the image has no program `sleep`"))
        }
    }

    async fn stop(&self, sandbox: &SandboxId, grace: Duration) -> Result<(), RuntimeError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let docker = self.engine.docker().await?;
        self.engine
            .call("stop a container", docker.stop_container(sandbox.as_str(), Some(options)))
            .await
            .map_err(|error| gone_if_not_there(sandbox, error))
    }

    async fn pause(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        let docker = self.engine.docker().await?;
        self.engine
            .call("pause a container", docker.pause_container(sandbox.as_str()))
            .await
            .map_err(|error| gone_if_not_there(sandbox, error))
    }

    async fn unpause(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        let docker = self.engine.docker().await?;
        self.engine
            .call("unpause a container", docker.unpause_container(sandbox.as_str()))
            .await
            .map_err(|error| gone_if_not_there(sandbox, error))
    }

    async fn remove(&self, task: &TaskId) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let sandboxes = self.containers(Some(task)).await?;
        let ids: Vec<_> = sandboxes.iter().map(|sandbox| sandbox.id.clone()).collect();
        for sandbox in sandboxes {
            let docker = self.engine.docker().await?;
            let removal = docker.remove_container(sandbox.id.as_str(), Some(options.clone()));
            match self.engine.call("remove a container", removal).await {
                Ok(()) => {}
                // 404: it is gone; 409: somebody else is removing it.
                Err(error) if matches!(status(&error), Some(404 | 409)) => {}
                Err(error) => return Err(error),
            }
        }
        network::remove(&self.engine, &self.home, task).await?;
        self.inside.forget(task, &ids)
    }

    async fn find(&self, task: &TaskId) -> Result<Option<Sandbox>, RuntimeError> {
        Ok(self.containers(Some(task)).await?.into_iter().next())
    }

    async fn list(&self) -> Result<Vec<Sandbox>, RuntimeError> {
        self.containers(None).await
    }

    async fn belongings(
        &self,
        task: Option<&TaskId>,
    ) -> Result<Vec<(TaskId, Belonging)>, RuntimeError> {
        let sandboxes = self.containers(task).await?.into_iter();
        let mut found: Vec<_> =
            sandboxes.map(|sandbox| (sandbox.task, Belonging::Sandbox)).collect();
        let networks = network::tasks(&self.engine, &self.home, task).await?;
        found.extend(networks.into_iter().map(|task| (task, Belonging::Network)));
        let mut sockets = self.inside.tasks()?;
        sockets.retain(|found| task.is_none_or(|task| task == found));
        found.extend(sockets.into_iter().map(|task| (task, Belonging::Socket)));
        Ok(found)
    }

    async fn exec(
        &self,
        sandbox: &SandboxId,
        request: ExecRequest,
        progress: &CommandProgress,
    ) -> Result<CommandEnd, RuntimeError> {
        match self.inside.run(sandbox, &request, progress).await? {
            Some(end) => Ok(end),
            None => attended::run(&self.engine, sandbox, &request, progress).await,
        }
    }

    async fn user_outside(&self, user: UserIds) -> Result<UserIds, RuntimeError> {
        self.engine.user_outside(user).await
    }

    async fn outlives_us(&self, sandbox: &SandboxId) -> Result<bool, RuntimeError> {
        self.inside.is_in(sandbox).await
    }

    async fn watch(
        &self,
        sandbox: &SandboxId,
        execution: &ExecutionId,
        output: &Path,
        progress: &CommandProgress,
    ) -> Result<Option<CommandEnd>, RuntimeError> {
        self.inside.watch(sandbox, execution, output, progress).await
    }

    async fn terminal(
        &self,
        sandbox: &SandboxId,
        request: TerminalRequest,
    ) -> Result<Terminal, RuntimeError> {
        match self.inside.terminal(sandbox, &request).await? {
            Some(terminal) => Ok(terminal),
            None => exec_terminal::terminal(&self.engine, sandbox, request).await,
        }
    }

    async fn egress(&self, sandbox: &SandboxId) -> Result<Egress, RuntimeError> {
        self.inside.egress(sandbox).await?.ok_or_else(no_egress)
    }

    fn noted_end(&self, output: &Path) -> Option<CommandEnd> {
        inside::noted_end(output)
    }

    async fn kill(
        &self,
        sandbox: &SandboxId,
        execution: &ExecutionId,
        user: UserIds,
    ) -> Result<bool, RuntimeError> {
        let mut killed = self.try_kill(sandbox, execution, user).await;
        if matches!(killed, Err(RuntimeError::SandboxGone { .. }))
            && self.engine.is_paused(sandbox).await?
        {
            // What stands still cannot be killed.
            self.unpause(sandbox).await?;
            killed = self.try_kill(sandbox, execution, user).await;
        }
        match killed {
            Err(RuntimeError::SandboxGone { .. }) => Ok(true),
            killed => killed,
        }
    }

    async fn restart(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        self.restarted(sandbox, &[]).await.map(drop)
    }

    async fn signal(
        &self,
        sandbox: &SandboxId,
        execution: &ExecutionId,
        user: UserIds,
        signal: Signal,
    ) -> Result<bool, RuntimeError> {
        match self.inside.signal(sandbox, execution, signal).await? {
            Some(sent) => Ok(sent),
            None => signal::signal(&self.engine, sandbox, execution, user, signal).await,
        }
    }

    async fn copy_in(
        &self,
        sandbox: &SandboxId,
        folder: &str,
        archive: Bytes,
    ) -> Result<(), RuntimeError> {
        let options = UploadToContainerOptionsBuilder::new().path(folder).build();
        let docker = self.engine.patient().await?;
        let body = bollard::body_full(archive);
        let copying = docker.upload_to_container(sandbox.as_str(), Some(options), body);
        self.engine.call_patiently("copy files into a container", copying).await
    }

    async fn copy_out(&self, sandbox: &SandboxId, path: &str) -> Result<Bytes, RuntimeError> {
        const ACTION: &str = "copy files out of a container";
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let docker = self.engine.docker().await?;
        let mut stream = docker.download_from_container(sandbox.as_str(), Some(options));
        let mut archive = BytesMut::new();
        while let Some(piece) = self.engine.call(ACTION, stream.try_next()).await? {
            if archive.len() + piece.len() > COPY_LIMIT {
                return Err(engine_broke(ACTION, "more than 256 MiB"));
            }
            archive.extend_from_slice(&piece);
        }
        Ok(archive.freeze())
    }

    async fn stats(&self, sandbox: &SandboxId) -> Result<SandboxStats, RuntimeError> {
        const ACTION: &str = "measure a container";
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let docker = self.engine.docker().await?;
        let mut stream = std::pin::pin!(docker.stats(sandbox.as_str(), Some(options)));
        let measured = self
            .engine
            .call(ACTION, async { stream.next().await.transpose() })
            .await
            .map_err(|error| gone_if_not_there(sandbox, error))?
            .ok_or_else(|| engine_broke(ACTION, "no answer"))?;
        let cpu = measured.cpu_stats.and_then(|cpu| cpu.cpu_usage);
        Ok(SandboxStats {
            memory_bytes: measured.memory_stats.map_or(0, in_use),
            cpu_nanos: cpu.and_then(|usage| usage.total_usage).unwrap_or(0),
            pids: measured.pids_stats.and_then(|pids| pids.current).unwrap_or(0),
        })
    }

    async fn nameless_bytes(
        &self,
        sandbox: &SandboxId,
        beside: &Path,
    ) -> Result<u64, RuntimeError> {
        if !self.engine.features().await?.runs_here {
            return Ok(0);
        }
        let (sandbox, beside) = (sandbox.clone(), beside.to_owned());
        let looking = tokio::task::spawn_blocking(move || nameless::bytes(&sandbox, &beside));
        looking.await.map_err(|error| RuntimeError::Engine {
            action: "look for files without a name",
            source: Box::new(error),
        })
    }

    async fn snapshot(&self, sandbox: &SandboxId, image: &ImageName) -> Result<(), RuntimeError> {
        let (repository, tag) =
            image.as_str().rsplit_once(':').unwrap_or((image.as_str(), "latest"));
        let options = CommitContainerOptionsBuilder::new()
            .container(sandbox.as_str())
            .repo(repository)
            .tag(tag)
            .pause(true)
            .build();
        let docker = self.engine.patient().await?;
        let keeping = docker.commit_container(options, ContainerConfig::default());
        self.engine.call_patiently("keep a container as an image", keeping).await?;
        Ok(())
    }
}
