//! The carrier: the one process of a home that carries the connections of tasks with the network
//! `egress`. Whoever finds that there is none starts one.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use armor_core::file_lock::FileLock;
use armor_core::sandbox::NetworkMode;
use armor_core::task::Task;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Lifecycle, LifecycleError};

/// A program that carries the home's connections until nobody needs it.
#[derive(Debug, Clone)]
pub struct CarrierProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// How a carrier is started, and what is known of it.
#[derive(Debug)]
pub struct Carrier {
    lock: PathBuf,
    program: Option<CarrierProgram>,
    stop: CancellationToken,
    here: TaskTracker,
}

impl Carrier {
    /// A carrier that holds the lock on the file at `lock`. It is a process of its own by `program`,
    /// so that commands which go on without their process reach what they may; without a program it
    /// is this process.
    pub fn new(lock: PathBuf, program: Option<CarrierProgram>) -> Self {
        Self { lock, program, stop: CancellationToken::new(), here: TaskTracker::new() }
    }

    /// Takes the carrier's place; none when somebody has it.
    pub(super) fn take_place(&self) -> std::io::Result<Option<FileLock>> {
        FileLock::try_hold(&self.lock)
    }

    /// Whether the home is still there.
    pub(super) fn has_a_place(&self) -> bool {
        self.lock.exists()
    }

    /// Lets go of what this process carries.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.here.close();
        self.here.wait().await;
    }
}

impl Lifecycle {
    /// Sees to it that somebody carries the connections of all tasks.
    pub(crate) async fn see_to_all_carried(&self) -> Result<(), LifecycleError> {
        match self.tasks_to_carry().await?.first() {
            Some(task) => self.see_to_carrier(task),
            None => Ok(()),
        }
    }

    /// Sees to it that somebody carries the task's connections, if its network has any.
    pub(crate) fn see_to_carrier(&self, task: &Task) -> Result<(), LifecycleError> {
        let carrier = &self.parts.carrier;
        if task.sandbox.network != NetworkMode::Egress {
            return Ok(());
        }
        match carrier.take_place().map_err(LifecycleError::Carrier)? {
            // Whoever it is takes the task up, too.
            None => return Ok(()),
            Some(free) => drop(free),
        }
        let Some(CarrierProgram { program, arguments }) = &carrier.program else {
            let (lifecycle, stop) = (self.clone(), carrier.stop.clone());
            carrier.here.spawn(async move {
                if let Err(error) = lifecycle.carry(stop).await {
                    let cause = armor_core::error::chain(&error);
                    tracing::error!(cause, "the sandboxes' connections are not carried");
                }
            });
            return Ok(());
        };
        let started = tokio::process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // It is not for this terminal's Ctrl-C.
            .process_group(0)
            .spawn();
        // It lives as long as it is needed, and is reaped by the runtime if we live longer.
        started.map(drop).map_err(LifecycleError::Carrier)
    }
}
