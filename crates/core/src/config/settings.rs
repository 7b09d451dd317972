//! The configuration as types, one struct a section: what the libraries are given.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use crate::checkpoint::Consistency;
use crate::config::Entry;
use crate::network::{NetworkPolicy, Rule, rules};
use crate::retention::Retention;
use crate::sandbox::{ImageName, Limits, MonitorAction, NetworkMode, Resource};
use crate::task::{SandboxRequest, WorkspaceMode};

/// Every setting.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// How the database is backed up.
    pub backup: BackupSettings,
    /// Which checkpoints are taken by themselves, what they leave out, and which stay.
    pub checkpoint: CheckpointSettings,
    /// Where the data is.
    pub database: DatabaseSettings,
    /// How the engine is reached.
    pub engine: EngineSettings,
    /// How commands run.
    pub execution: ExecutionSettings,
    /// Whether hooks run, and their points are events.
    pub hooks: HookSettings,
    /// When sandboxes take much.
    pub monitor: MonitorSettings,
    /// What may be reached.
    pub network: NetworkSettings,
    /// The most that a task may ask for.
    pub policy: PolicySettings,
    /// Sandboxes that are kept ready.
    pub pool: PoolSettings,
    /// What a sandbox is when nothing else is asked for.
    pub sandbox: SandboxSettings,
    /// When what nobody needs is removed.
    pub sweep: SweepSettings,
    /// Where repositories may lie.
    pub workspace: WorkspaceSettings,
}

/// `[backup]`
#[derive(Debug, Clone, Deserialize)]
pub struct BackupSettings {
    /// How many are kept.
    pub keep: u32,
    /// Whether `armor-mcp` takes one when it starts.
    pub on_start: bool,
}

/// `[checkpoint]`
#[derive(Debug, Clone, Deserialize)]
pub struct CheckpointSettings {
    /// Whether they leave out what git ignores.
    pub git_ignored: bool,
    /// Longer files are left out, in MiB; 0 for none.
    pub largest_file_mib: u32,
    /// What they leave out, in the syntax of `.gitignore`.
    pub leave_out: Vec<String>,
    /// Whether some are taken by themselves.
    pub automatic: bool,
    /// Whether a sandbox stands still while its files are read.
    pub consistency: Consistency,
    /// The score from which on one is taken before a command.
    pub risk_threshold: u32,
    /// How many of the newest of a task stay.
    pub keep_last: u32,
    /// The newest of each of how many hours.
    pub keep_hourly: u32,
    /// The newest of each of how many days.
    pub keep_daily: u32,
    /// The newest of each of how many weeks.
    pub keep_weekly: u32,
    /// What all checkpoints together may take, in MiB; zero: anything.
    pub size_limit_mib: u32,
}

impl CheckpointSettings {
    /// Which ones of a task stay.
    pub const fn retention(&self) -> Retention {
        Retention {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
        }
    }

    /// What all of them together may take, in bytes.
    pub fn size_limit(&self) -> Option<u64> {
        (self.size_limit_mib > 0).then(|| u64::from(self.size_limit_mib) << 20)
    }

    /// How long a file may be, in bytes; none for any length.
    pub fn largest_file_bytes(&self) -> Option<u64> {
        (self.largest_file_mib > 0).then(|| u64::from(self.largest_file_mib) << 20)
    }
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
pub struct DatabaseSettings {
    /// The database file.
    pub path: PathBuf,
    /// What survives a loss of power.
    pub durability: Durability,
}

/// What survives a loss of power. What was acknowledged survives the end of the process always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Everything that was acknowledged.
    #[default]
    Full,
    /// Everything but the last moments, without damage: several times faster.
    Normal,
}

/// `[engine]`
#[derive(Debug, Clone, Deserialize)]
pub struct EngineSettings {
    /// The folder of the certificates for an engine over TLS.
    #[serde(deserialize_with = "unless_empty")]
    pub certificates: Option<PathBuf>,
    /// The engine's address; empty for the usual ones.
    pub host: String,
    /// How long to wait for one answer, in seconds.
    pub timeout_seconds: u32,
}

/// `[execution]`
#[derive(Debug, Clone, Deserialize)]
pub struct ExecutionSettings {
    /// A command's time limit, in seconds.
    pub timeout_seconds: u32,
    /// How much of each stream is kept on disk, in MiB.
    pub keep_mib: u32,
    /// How much of each stream goes back to the caller, in KiB.
    pub reply_kib: u32,
}

/// `[hooks]`: each side can be switched off, so that one can go from hooks to listeners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct HookSettings {
    /// Whether the points at which hooks run are events too.
    pub emit: bool,
    /// Whether hooks run.
    pub run: bool,
}

/// `[monitor]`
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct MonitorSettings {
    /// What happens to a sandbox that is above a threshold for a minute.
    pub action: MonitorAction,
    /// The threshold of processor time, in hundredths of the share.
    pub cpu_percent: u32,
    /// What happens to one whose task takes more disk than it may.
    pub disk_action: MonitorAction,
    /// What a task may take of the disk, in MiB; 0 for as much as there is.
    pub disk_mib: u32,
    /// The threshold of memory and disk.
    pub memory_percent: u32,
    /// The threshold of processes.
    pub pids_percent: u32,
}

impl MonitorSettings {
    /// The threshold of a resource, in hundredths of the share.
    pub const fn percent(&self, resource: Resource) -> u32 {
        match resource {
            Resource::Memory | Resource::Disk => self.memory_percent,
            Resource::Cpu => self.cpu_percent,
            Resource::Pids => self.pids_percent,
        }
    }

    /// What a task may take of the disk, in bytes; none for as much as there is.
    pub fn disk_bytes(&self) -> Option<u64> {
        (self.disk_mib > 0).then(|| u64::from(self.disk_mib) << 20)
    }
}

/// `[network]`
#[derive(Debug, Clone, Default, Deserialize)]
pub struct NetworkSettings {
    /// What every task with the network `egress` may reach, by rules and presets.
    #[serde(deserialize_with = "expanded")]
    pub allow: Vec<Rule>,
    /// Certificates that programs with a way out trust, in place of the image's.
    #[serde(deserialize_with = "unless_empty")]
    pub certificates: Option<PathBuf>,
    /// What none may reach, whatever else is allowed.
    #[serde(deserialize_with = "expanded")]
    pub deny: Vec<Rule>,
    /// The networks that tasks may ask for.
    pub modes: Vec<NetworkMode>,
}

impl NetworkSettings {
    /// The rules for every task.
    pub fn policy(&self) -> NetworkPolicy {
        NetworkPolicy { allow: self.allow.clone(), deny: self.deny.clone() }
    }
}

fn unless_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(from)?;
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

/// Rules, with presets in full.
fn expanded<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Rule>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let rules: Result<Vec<_>, _> = texts.iter().map(|text| rules(text)).collect();
    Ok(rules.map_err(serde::de::Error::custom)?.concat())
}

/// `[policy]`: the most that a task may ask for.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct PolicySettings {
    /// What its sandbox may use.
    #[serde(flatten)]
    pub limits: Limits,
}

/// `[pool]`
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct PoolSettings {
    /// How many sandboxes are kept ready for each kind of task.
    pub size: u32,
}

/// `[sandbox]`
#[derive(Debug, Clone, Deserialize)]
pub struct SandboxSettings {
    /// The image.
    pub image: ImageName,
    /// The network.
    pub network: NetworkMode,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Processor time, in thousandths of a core.
    pub cpu_millis: u32,
    /// Processes and threads.
    pub pids: u32,
    /// Open files of one process.
    pub open_files: u32,
    /// Size of `/tmp`, in MiB.
    pub tmp_mib: u32,
}

/// `[sweep]`
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct SweepSettings {
    /// How often it is looked, in minutes.
    pub every_minutes: u32,
    /// How long what belongs to an unknown task stays, in hours.
    pub grace_hours: u32,
}

impl SweepSettings {
    /// How often it is looked.
    pub fn every(&self) -> Duration {
        Duration::from_mins(self.every_minutes.into())
    }

    /// How long what belongs to an unknown task stays.
    pub fn grace(&self) -> Duration {
        Duration::from_hours(self.grace_hours.into())
    }
}

/// `[workspace]`
#[derive(Debug, Clone, Deserialize)]
pub struct WorkspaceSettings {
    /// The folders in which what a task works on may lie.
    pub allowed_roots: Vec<PathBuf>,
    /// What may be made of it.
    pub modes: Vec<WorkspaceMode>,
}

impl Settings {
    pub(super) fn from_entries(entries: &BTreeMap<&'static str, Entry>) -> Self {
        let mut sections = Table::new();
        for (key, entry) in entries {
            let (section, name) = key.split_once('.').unwrap_or(("", key));
            let section = sections.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(name.to_owned(), entry.value.clone());
            }
        }
        #[allow(
            clippy::expect_used,
            reason = "every value was checked by its key, and a test loads all defaults"
        )]
        sections.try_into().expect("each key's kind fits its field")
    }

    /// The most that a sandbox of a task may use: what policy says, or what a task is given that asks
    /// for nothing, where that is more.
    pub fn most(&self) -> Limits {
        self.policy.limits.max(self.sandbox_request().limits)
    }

    /// The sandbox of a task that asks for nothing.
    pub fn sandbox_request(&self) -> SandboxRequest {
        let sandbox = &self.sandbox;
        SandboxRequest {
            image: sandbox.image.clone(),
            network: sandbox.network,
            rules: self.network.policy(),
            certificates: self.network.certificates.clone(),
            limits: Limits {
                memory_mib: sandbox.memory_mib,
                cpu_millis: sandbox.cpu_millis,
                pids: sandbox.pids,
                open_files: sandbox.open_files,
                tmp_mib: sandbox.tmp_mib,
            },
            folder: None,
            forked_from: None,
        }
    }
}

impl EngineSettings {
    /// How long to wait for one answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }
}

impl ExecutionSettings {
    /// A command's time limit.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }

    /// How much of each stream is kept on disk, in bytes.
    pub fn keep_bytes(&self) -> u64 {
        u64::from(self.keep_mib) * 1024 * 1024
    }

    /// How much of each stream goes back to the caller, in bytes.
    pub fn reply_bytes(&self) -> u64 {
        u64::from(self.reply_kib) * 1024
    }
}
