//! The composition root: configuration, registry, consumers, runtime, lifecycle.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use armor_checkpoint_store::Store;
use armor_commands::{ClosedHome, Context};
use armor_core::config::{Configuration, Environment, Sources};
use armor_core::event::{Consumer, EventLog};
use armor_core::hook::Hook;
use armor_core::id::{IdSource, RandomIds};
use armor_core::job::Handler;
use armor_core::sandbox::{Images, Runtime, UserIds};
use armor_core::time::{Clock, SystemClock};
use armor_docker::{DockerImages, DockerRuntime, Endpoint, Engine, RunnerFolders};
use armor_events::{Bus, Consumers, Pattern, Subscription};
use armor_git::{Allowed, Git};
use armor_jobs::{RetryPolicy, WorkerSettings, Workers};
use armor_lifecycle::{
    AfterHooks, Carrier, CarrierProgram, CleanUp, Forgetting, Hooks, Instances, Janitor, Lifecycle,
    LifecycleSettings, Parts, Pool, RunAfterHooks,
};
use armor_persistence::{AuditTrail, DecisionRecord, StateMirror, TaskFolders};
use armor_registry::{Backups, Registry, SqliteRegistry};

use crate::OpenError;

/// How long closing waits for the consumers to write what was committed. They catch up when the
/// home is opened again.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// How long it waits for what a consumer, or a worker, does just then.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Puts an [`Armor`] together.
#[derive(Debug)]
pub struct Builder {
    environment: Environment,
    flags: Vec<(String, String)>,
    hooks: Vec<Arc<dyn Hook>>,
    carrier: Option<(PathBuf, Vec<OsString>)>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Builder {
    /// Sets a configuration key, over every other layer.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.flags.push((key.into(), value.into()));
        self
    }

    /// Runs a hook at its point of every task's life, in this process. A hook of equal priority runs
    /// behind those that were added before it. Programs with hooks behind changes that work on one
    /// home at different times have to add the same ones: what one of them has dealt with is dealt
    /// with.
    #[must_use]
    pub fn hook(mut self, hook: Arc<dyn Hook>) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Has this program carry the connections of tasks with the network `egress`, as a process of its
    /// own: it opens this home with these settings and calls [`Lifecycle::carry`]. Otherwise this
    /// process does so, as long as it has the home open.
    #[must_use]
    pub fn carrier(mut self, program: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(Into::into).collect();
        self.carrier = Some((program.into(), arguments));
        self
    }

    /// Takes the time from another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes ids from another source.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = ids;
        self
    }

    /// The home without opening it: for what is done while nobody has it open.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn closed(self) -> Result<ClosedHome, OpenError> {
        let home = self.environment.armor_home();
        let configuration = self.configuration(&home)?;
        let backups = backups(&home, &configuration);
        Ok(ClosedHome { configuration, backups, clock: self.clock, ids: self.ids })
    }

    fn configuration(&self, home: &Path) -> Result<Configuration, OpenError> {
        let mut sources = Sources::gather(self.environment.clone(), home.to_owned())?;
        sources.flags.clone_from(&self.flags);
        Ok(Configuration::load(&sources)?)
    }

    /// Opens the home, making it if it is not there, and puts right what a dead process left.
    ///
    /// # Errors
    /// When the configuration cannot be used, or the database cannot be opened. An engine that is
    /// not there is no error until a sandbox is needed.
    pub async fn open(self) -> Result<Armor, OpenError> {
        let home = self.environment.armor_home();
        let configuration = self.configuration(&home)?;
        let settings = configuration.settings();

        let folders = TaskFolders::open(&home)?;
        let checkpoints = Store::open(&home)?;
        let registry: Arc<dyn Registry> = Arc::new(
            SqliteRegistry::open(
                &settings.database.path,
                settings.database.durability,
                self.clock.clone(),
                self.ids.clone(),
            )
            .await?,
        );
        let log: Arc<dyn EventLog> = registry.clone();

        let endpoint = Endpoint::discover(
            &settings.engine.host,
            settings.engine.certificates.as_deref(),
            &self.environment,
        )?;
        let engine = Arc::new(Engine::new(endpoint, settings.engine.timeout()));
        let runtime: Arc<dyn Runtime> = Arc::new(DockerRuntime::new(
            engine.clone(),
            registry.home_id().clone(),
            Some(RunnerFolders { files: home.join("runners"), trash: home.join("trash") }),
        ));
        let images: Arc<dyn Images> =
            Arc::new(DockerImages::new(engine, home.join("locks").join(".images")));

        let mut consumers: Vec<Arc<dyn Consumer>> = vec![
            Arc::new(AuditTrail::new(folders.clone(), registry.clone())),
            Arc::new(DecisionRecord::new(folders.clone(), registry.clone())),
            Arc::new(StateMirror::new(folders.clone(), registry.clone())),
            Arc::new(Forgetting::new(checkpoints.clone())),
            // Last: its jobs remove what the others write to.
            Arc::new(Janitor::new(registry.clone())),
        ];
        let mut handlers: Vec<Arc<dyn Handler>> = vec![Arc::new(CleanUp::new(
            registry.clone(),
            runtime.clone(),
            folders.clone(),
            checkpoints.clone(),
        ))];
        let carrier = self.carrier.map(|(program, mut arguments)| {
            for (key, value) in &self.flags {
                arguments.extend(["--set".into(), format!("{key}={value}").into()]);
            }
            CarrierProgram { program, arguments, log: home.join("carrier.log") }
        });
        let hooks = Hooks::new(self.hooks, settings.hooks);
        if hooks.run_after_changes() {
            let after = AfterHooks::open(hooks.clone(), registry.clone()).await?;
            consumers.insert(0, Arc::new(after));
            handlers.push(Arc::new(RunAfterHooks::new(hooks.clone(), registry.clone())));
        }
        let lock = home.join("locks").join(".consumers");
        let consumers =
            Arc::new(Consumers::start(log.clone(), consumers, lock, self.clock.clone()));
        let workers = Workers::start(registry.clone(), handlers, self.clock.clone(), workers());
        let workers = Arc::new(workers);
        let bus = Bus::start(log).await?;

        let lifecycle = Lifecycle::new(
            Parts {
                registry: registry.clone(),
                runtime,
                images,
                consumers: consumers.clone(),
                workers: workers.clone(),
                hooks,
                bus,
                folders,
                checkpoints,
                instances: Instances::new(&home),
                carrier: Carrier::new(home.join("locks").join(".carrier"), carrier),
                pool: Pool::new(
                    home.join("pool"),
                    home.join("locks").join(".pool"),
                    settings.pool.size as usize,
                ),
                house_lock: home.join("locks").join(".house"),
                git: Git::default(),
                clock: self.clock,
                ids: self.ids,
            },
            lifecycle_settings(&settings, &home),
        );
        lifecycle.take_up().await?;
        let user = self.environment.user().map(str::to_owned);
        let backups = backups(&home, &configuration);
        let context = Context { lifecycle, configuration, backups, home, user };
        Ok(Armor { context, registry, consumers, workers })
    }
}

fn backups(home: &Path, configuration: &Configuration) -> Backups {
    Backups::new(home.join("backups"), configuration.settings().backup.keep as usize)
}

/// How long a job of a process that died waits for another one.
const JOB_HOLD: Duration = Duration::from_secs(30);
/// How many jobs a process does at a time.
const JOBS: usize = 4;

fn workers() -> WorkerSettings {
    WorkerSettings {
        count: JOBS,
        hold: JOB_HOLD,
        retry: RetryPolicy::default(),
        owner: format!("process {}", std::process::id()),
    }
}

fn lifecycle_settings(settings: &armor_core::config::Settings, home: &Path) -> LifecycleSettings {
    let mut roots = settings.workspace.allowed_roots.clone();
    // The demonstration makes its repository there.
    roots.push(home.join("demo"));
    // Working copies are the agents' own: git must not run there on the host.
    let allowed = Allowed { roots, forbidden: vec![home.join("tasks")] };
    LifecycleSettings {
        sandbox: settings.sandbox_request(),
        execution: settings.execution.clone(),
        monitor: settings.monitor,
        checkpoint: settings.checkpoint.clone(),
        sweep: settings.sweep,
        most: settings.most(),
        networks: settings.network.modes.clone(),
        workspaces: settings.workspace.modes.clone(),
        allowed,
        home: home.to_owned(),
        user: commands_user(),
    }
}

/// Who commands are: the user who runs Armor, or an unprivileged one where that is root.
fn commands_user() -> UserIds {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if uid.is_root() {
        UserIds::UNPRIVILEGED
    } else {
        UserIds { uid: uid.as_raw(), gid: gid.as_raw() }
    }
}

/// An open home.
#[derive(Debug)]
pub struct Armor {
    context: Context,
    registry: Arc<dyn Registry>,
    consumers: Arc<Consumers>,
    workers: Arc<Workers>,
}

impl Armor {
    /// Begins to put one together, in this environment.
    pub fn builder(environment: Environment) -> Builder {
        Builder {
            environment,
            flags: Vec::new(),
            hooks: Vec::new(),
            carrier: None,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds::default()),
        }
    }

    /// The tasks.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.context.lifecycle
    }

    /// What commands work on.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Follows the events that match, from now on.
    pub fn subscribe(&self, pattern: Pattern) -> Subscription {
        self.lifecycle().bus().subscribe(pattern)
    }

    /// Lets go at once: what is not done is done by whoever opens the home next.
    pub async fn leave(self) {
        self.lifecycle().stop_carrying(STOP_LIMIT).await;
        self.workers.stop(Duration::ZERO).await;
    }

    /// Waits, for a bounded time, until the consumers have written what was committed, and lets go
    /// of the database.
    pub async fn close(self) {
        self.lifecycle().stop_carrying(STOP_LIMIT).await;
        let head = *self.registry.appended().borrow();
        if !self.consumers.caught_up(head, CLOSE_LIMIT).await {
            tracing::warn!(%head, "closed before the consumers were done; they catch up later");
        }
        self.consumers.stop(STOP_LIMIT).await;
        self.workers.stop(STOP_LIMIT).await;
        self.lifecycle().bus().stop();
        self.registry.close().await;
    }
}
