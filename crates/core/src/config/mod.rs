//! Configuration in layers: built-in defaults, `$ARMOR_HOME/armor.toml`, the project's
//! `.armor.toml`, `ARMOR_*` variables, flags (R4). Each value remembers where it came from.
//!
//! The keys stand in one table ([`KEYS`]); the layers, the names of the variables, the check for
//! unknown keys and `armor config show` all come from it. This module reads nothing by itself: the
//! composition root hands it an [`Environment`] and the texts of the files.

mod environment;
mod keys;
mod layers;
mod settings;

pub use environment::Environment;
pub use keys::{KEYS, Key, Kind, Scope};
pub use layers::{ConfigError, Configuration, Entry, Origin, Sources};
pub use settings::{
    BackupSettings, CheckpointSettings, DatabaseSettings, Durability, EngineSettings,
    ExecutionSettings, HookSettings, MonitorSettings, NetworkSettings, PolicySettings,
    PoolSettings, SandboxSettings, Settings, SweepSettings, WorkspaceSettings,
};
