//! The carrier: the one process of a home that carries the connections of tasks with the network
//! `egress`. Whoever finds that there is none starts one.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use armor_core::file_lock::FileLock;
use armor_core::sandbox::NetworkMode;
use armor_core::task::Task;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Lifecycle, LifecycleError};

/// How long a carrier may take to open the home.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How soon it is looked again whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How often whoever waits for a command looks whether there still is a carrier.
const SEE_AGAIN: Duration = Duration::from_secs(5);

/// A program that carries the home's connections until nobody needs it.
#[derive(Debug, Clone)]
pub struct CarrierProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it says what is wrong.
    pub log: PathBuf,
}

/// How a carrier is started, and what is known of it.
#[derive(Debug)]
pub struct Carrier {
    lock: PathBuf,
    program: Option<CarrierProgram>,
    /// The process that was started last; one at a time starts one.
    started: Mutex<Option<Child>>,
    stop: CancellationToken,
    here: TaskTracker,
}

impl Carrier {
    /// A carrier that holds the lock on the file at `lock`. It is a process of its own by `program`,
    /// so that commands which go on without their process reach what they may; without a program it
    /// is this process.
    pub fn new(lock: PathBuf, program: Option<CarrierProgram>) -> Self {
        let (stop, here) = (CancellationToken::new(), TaskTracker::new());
        Self { lock, program, started: Mutex::default(), stop, here }
    }

    /// Takes the carrier's place; none when somebody has it.
    pub(super) fn take_place(&self) -> Result<Option<FileLock>, LifecycleError> {
        FileLock::try_hold(&self.lock).map_err(LifecycleError::CarrierLock)
    }

    /// Whether the place that was taken is still the home's: not if the home was removed.
    pub(super) fn is_at_home(&self, place: &FileLock) -> bool {
        place.is_at(&self.lock)
    }

    /// Lets go of what this process carries.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.here.close();
        self.here.wait().await;
    }

    fn is_carried(&self) -> Result<bool, LifecycleError> {
        // Whoever has the place takes up new tasks, too.
        Ok(self.take_place()?.is_none())
    }

    /// Starts the program and waits until it has the place.
    async fn start(&self, program: &CarrierProgram) -> Result<(), LifecycleError> {
        let mut started = self.started.lock().await;
        let give_up = Instant::now() + START_LIMIT;
        let has_ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        if started.as_mut().is_none_or(has_ended) && !self.is_carried()? {
            let child = program.spawn().map_err(|error| failed(&error.to_string()))?;
            *started = Some(child);
        }
        while !self.is_carried()? {
            if started.as_mut().is_some_and(has_ended) && !self.is_carried()? {
                let log = std::fs::read_to_string(&program.log).unwrap_or_default();
                return Err(failed(log.trim()));
            }
            if Instant::now() > give_up {
                return Err(failed("it does not come up"));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

impl CarrierProgram {
    fn spawn(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&self.log)?)
            // It is not for this terminal's Ctrl-C.
            .process_group(0)
            .spawn()
    }
}

fn failed(reason: &str) -> LifecycleError {
    LifecycleError::NoCarrier { reason: reason.to_owned() }
}

impl Lifecycle {
    /// Sees to it that somebody carries the connections of all tasks.
    pub(crate) async fn see_to_all_carried(&self) -> Result<(), LifecycleError> {
        match self.tasks_to_carry().await?.first() {
            Some(task) => self.see_to_carrier(task).await,
            None => Ok(()),
        }
    }

    /// Sees to it that somebody carries the task's connections, if its network has any.
    pub(crate) async fn see_to_carrier(&self, task: &Task) -> Result<(), LifecycleError> {
        let carrier = &self.parts.carrier;
        if task.sandbox.network != NetworkMode::Egress || carrier.is_carried()? {
            return Ok(());
        }
        if let Some(program) = &carrier.program {
            // Seldom needed, and large: not part of every command.
            return Box::pin(carrier.start(program)).await;
        }
        let (lifecycle, stop) = (self.clone(), carrier.stop.clone());
        carrier.here.spawn(async move {
            if let Err(error) = lifecycle.carry(stop).await {
                let cause = armor_core::error::chain(&error);
                tracing::error!(cause, "the sandboxes' connections are not carried");
            }
        });
        Ok(())
    }

    /// The same again and again, since a carrier can be killed under a command. Over at once if the
    /// task's network needs none.
    pub(crate) async fn keep_carried(&self, task: &Task) {
        if task.sandbox.network != NetworkMode::Egress {
            return;
        }
        loop {
            sleep(SEE_AGAIN).await;
            if let Err(error) = self.see_to_carrier(task).await {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(task = %task.id, cause, "its connections may not be carried");
            }
        }
    }
}
