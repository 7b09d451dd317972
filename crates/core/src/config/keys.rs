//! Every configuration key: its name, what values it takes, its default, who may set it.

use crate::checkpoint::Consistency;
use crate::sandbox::{MonitorAction, NetworkMode};
use crate::task::WorkspaceMode;

/// What values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path; a relative one is taken from the file or folder that names it.
    Path,
    /// A path like that, or none when it is empty.
    OptionalPath,
    /// Paths; in a variable, joined by `:`.
    Paths,
    /// A whole number between the two, both included.
    Integer(u32, u32),
    /// The name of an image.
    Image,
    /// On or off: `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words; in a variable, joined by `,`.
    Choices(&'static [&'static str]),
    /// Patterns of files as in `.gitignore`; in a variable, joined by `,`.
    Patterns,
    /// Rules about what may be reached, and presets of them; in a variable, joined by `,`.
    Rules,
}

/// Which layers may set a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every layer.
    Anywhere,
    /// Not a project's file: what comes with a repository must not widen what its tasks may do.
    UserOnly,
}

/// A configuration key.
#[derive(Debug)]
pub struct Key {
    /// `section.name`.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its value when no layer sets it, written as in a variable. `{home}` stands for Armor's
    /// home, `{user}` for the user's own folder, `{cwd}` for the current one.
    pub default: &'static str,
    /// Who may set it.
    pub scope: Scope,
    /// What it does, in one line.
    pub help: &'static str,
}

impl Key {
    /// The variable that sets it.
    pub fn variable(&self) -> String {
        let name = self.name.replace('.', "_").to_ascii_uppercase();
        format!("{}{name}", super::Environment::KEY_PREFIX)
    }

    /// The key of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The name of a key that is most like `name`, if one is alike enough to be meant.
    pub fn nearest(name: &str) -> Option<&'static str> {
        KEYS.iter()
            .map(|key| (strsim::jaro_winkler(key.name, name), key.name))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name)
    }
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    scope: Scope,
    help: &'static str,
) -> Key {
    Key { name, kind, default, scope, help }
}

use Kind::{
    Choice, Choices, Image, Integer, OptionalPath, Path, Paths, Patterns, Rules, Switch, Text,
};
use Scope::{Anywhere, UserOnly};

/// Every key there is.
pub static KEYS: &[Key] = &[
    key("database.path", Path, "{home}/armor.db", UserOnly, "The database file."),
    key("backup.keep", Integer(1, 10_000), "10", UserOnly, "How many backups are kept."),
    key(
        "backup.on_start",
        Switch,
        "false",
        UserOnly,
        "Whether `armor-mcp` backs the database up when it starts.",
    ),
    key(
        "checkpoint.automatic",
        Switch,
        "true",
        UserOnly,
        "Whether checkpoints are taken by themselves: at a task's start and end, and before risky commands.",
    ),
    key(
        "checkpoint.consistency",
        Choice(Consistency::NAMES),
        "risk",
        UserOnly,
        "Whether a sandbox stands still while its files are read: never (live), before a risky command while others run (risk), always (pause).",
    ),
    key(
        "checkpoint.keep_last",
        Integer(1, 100_000),
        "50",
        UserOnly,
        "How many of a task's newest checkpoints stay. Those that are pinned or have a name always do.",
    ),
    key(
        "checkpoint.keep_hourly",
        Integer(0, 100_000),
        "48",
        UserOnly,
        "Of how many hours, among those with any, a task's newest checkpoint stays.",
    ),
    key("checkpoint.keep_daily", Integer(0, 100_000), "30", UserOnly, "Of how many days."),
    key("checkpoint.keep_weekly", Integer(0, 100_000), "12", UserOnly, "Of how many weeks."),
    key(
        "checkpoint.risk_threshold",
        Integer(1, 100),
        "50",
        UserOnly,
        "The score from which on a command is risky: `armor checkpoint explain` says what one scores.",
    ),
    key(
        "checkpoint.size_limit_mib",
        Integer(0, 1_073_741_824),
        "0",
        UserOnly,
        "What all checkpoints together may take; 0: anything. The oldest go first, never a task's newest.",
    ),
    key(
        "checkpoint.git_ignored",
        Switch,
        "false",
        UserOnly,
        "Whether checkpoints leave out what git ignores, which may be what nobody else has, such as a .env.",
    ),
    key(
        "checkpoint.largest_file_mib",
        Integer(0, 1_048_576),
        "0",
        UserOnly,
        "Checkpoints leave out longer files that git does not track; 0: none.",
    ),
    key(
        "checkpoint.leave_out",
        Patterns,
        "node_modules/,target/,.venv/,__pycache__/,.cache/,.pytest_cache/,.mypy_cache/,.ruff_cache/,.gradle/,.next/,.turbo/,.npm/_cacache/",
        UserOnly,
        "What checkpoints leave out unless git tracks it, as in a .gitignore.",
    ),
    key(
        "database.durability",
        Choice(&["full", "normal"]),
        "full",
        UserOnly,
        "What survives a loss of power: all that was acknowledged, or all but the last moments.",
    ),
    key(
        "engine.certificates",
        OptionalPath,
        "",
        UserOnly,
        "The folder with ca.pem, cert.pem and key.pem for an engine over TLS; empty: DOCKER_CERT_PATH, or the docker context's.",
    ),
    key(
        "engine.host",
        Text,
        "",
        UserOnly,
        "The container engine's address; empty: DOCKER_HOST, the docker context, or the usual socket.",
    ),
    key(
        "engine.timeout_seconds",
        Integer(1, 3600),
        "60",
        UserOnly,
        "How long to wait for one answer of the engine.",
    ),
    key(
        "execution.timeout_seconds",
        Integer(1, 86_400),
        "600",
        Anywhere,
        "A command's time limit when the caller sets none.",
    ),
    key(
        "execution.keep_mib",
        Integer(1, 65_536),
        "64",
        UserOnly,
        "How much of each output stream is kept on disk.",
    ),
    key(
        "execution.reply_kib",
        Integer(1, 16_384),
        "32",
        Anywhere,
        "How much of each output stream goes back to the caller; the middle of a longer one is cut.",
    ),
    key(
        "hooks.emit",
        Switch,
        "true",
        UserOnly,
        "Whether the points at which hooks run are events too (task:beforeStart, …).",
    ),
    key("hooks.run", Switch, "true", UserOnly, "Whether hooks run."),
    key(
        "monitor.action",
        Choice(MonitorAction::NAMES),
        "warn",
        UserOnly,
        "What happens to a sandbox that is above a threshold for a minute.",
    ),
    key(
        "monitor.cpu_percent",
        Integer(1, 100),
        "80",
        UserOnly,
        "Of how much of its processor time a sandbox is warned.",
    ),
    key(
        "monitor.disk_action",
        Choice(MonitorAction::NAMES),
        "stop",
        UserOnly,
        "What happens to a sandbox whose task takes more disk than it may.",
    ),
    key(
        "monitor.disk_mib",
        Integer(0, 1_073_741_824),
        "20480",
        UserOnly,
        "What a task's workspace, memory and kept output may take of the disk, together; 0: as much as there is.",
    ),
    key(
        "monitor.memory_percent",
        Integer(1, 100),
        "85",
        UserOnly,
        "Of how much of its memory, and of its disk, a sandbox is warned.",
    ),
    key(
        "monitor.pids_percent",
        Integer(1, 100),
        "80",
        UserOnly,
        "Of how many of its processes a sandbox is warned.",
    ),
    key(
        "network.allow",
        Rules,
        "",
        UserOnly,
        "What every new task with the network `egress` may reach.",
    ),
    key(
        "network.certificates",
        OptionalPath,
        "",
        UserOnly,
        "Certificates (PEM) that programs with the network `egress` or `open` trust, in place of the image's.",
    ),
    key(
        "network.deny",
        Rules,
        "",
        UserOnly,
        "What no new task with the network `egress` may reach, whatever else is allowed, unless a person allows the same to one task.",
    ),
    key(
        "network.modes",
        Choices(NetworkMode::NAMES),
        "none,internal,egress",
        UserOnly,
        "The networks that tasks may ask for.",
    ),
    key(
        "policy.memory_mib",
        Integer(16, 4_194_304),
        "8192",
        UserOnly,
        "The most memory that a task may ask for.",
    ),
    key(
        "policy.cpu_millis",
        Integer(10, 1_048_576),
        "8000",
        UserOnly,
        "The most processor time that a task may ask for, in thousandths of a core.",
    ),
    key(
        "policy.pids",
        Integer(8, 1_048_576),
        "4096",
        UserOnly,
        "The most processes and threads that a task may ask for.",
    ),
    key(
        "policy.open_files",
        Integer(64, 1_048_576),
        "65536",
        UserOnly,
        "The most open files of one process that a task may ask for.",
    ),
    key(
        "policy.tmp_mib",
        Integer(1, 1_048_576),
        "4096",
        UserOnly,
        "The largest /tmp that a task may ask for.",
    ),
    key(
        "pool.size",
        Integer(0, 100),
        "1",
        UserOnly,
        "How many sandboxes `armor-mcp` keeps ready for each kind of task that was created last.",
    ),
    key(
        "sandbox.image",
        Image,
        "agentic-armor/opencode-sandbox-base:latest",
        Anywhere,
        "The image of a task that asks for none.",
    ),
    key(
        "sandbox.network",
        Choice(NetworkMode::NAMES),
        "none",
        UserOnly,
        "The network of a task that asks for none.",
    ),
    key("sandbox.memory_mib", Integer(16, 4_194_304), "2048", UserOnly, "A sandbox's memory."),
    key(
        "sandbox.cpu_millis",
        Integer(10, 1_048_576),
        "2000",
        UserOnly,
        "A sandbox's processor time, in thousandths of a core.",
    ),
    key(
        "sandbox.pids",
        Integer(8, 1_048_576),
        "512",
        UserOnly,
        "A sandbox's processes and threads.",
    ),
    key(
        "sandbox.open_files",
        Integer(64, 1_048_576),
        "8192",
        UserOnly,
        "Open files of one process in a sandbox.",
    ),
    key(
        "sandbox.tmp_mib",
        Integer(1, 1_048_576),
        "512",
        UserOnly,
        "Size of a sandbox's /tmp, which lies in memory.",
    ),
    key(
        "sweep.every_minutes",
        Integer(1, 10_080),
        "5",
        UserOnly,
        "How often `armor-mcp` looks for what is left of tasks that do not need it.",
    ),
    key(
        "sweep.grace_hours",
        Integer(0, 87_600),
        "24",
        UserOnly,
        "How long a sandbox stays whose task is unknown.",
    ),
    key(
        "workspace.allowed_roots",
        Paths,
        "{user}:{cwd}",
        UserOnly,
        "The folders in which what a task works on may lie.",
    ),
    key(
        "workspace.modes",
        Choices(WorkspaceMode::NAMES),
        "repository",
        UserOnly,
        "What may be made of it: a working copy of a repository, a copy of a folder, the folder itself.",
    ),
];
