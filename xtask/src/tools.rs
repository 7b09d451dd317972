//! Tools that are built once a machine, when they are first needed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{self, cache, cargo};

/// The independent MCP client that the tests drive the server with.
const MCP_CLIENT: &str = "mcp==2.3.0";

/// cargo-deny of the version that `deny.toml` is written for.
pub(crate) fn cargo_deny() -> Result<Command, String> {
    cargo_tool("cargo-deny", "0.20.2")
}

/// cargo-fuzz.
pub(crate) fn cargo_fuzz() -> Result<Command, String> {
    cargo_tool("cargo-fuzz", "0.13.2")
}

fn cargo_tool(name: &str, version: &str) -> Result<Command, String> {
    let root = cache().join("tools");
    let binary = root.join("bin").join(name);
    let found = Command::new(&binary).arg("--version").stderr(Stdio::null()).output();
    let is_there = found.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).trim() == format!("{name} {version}")
    });
    if !is_there {
        // It runs for seconds and is built for minutes: optimise the building.
        process::run(
            cargo()
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
                .args(["install", name, "--locked", "--version", version, "--root"])
                .arg(root),
        )?;
    }
    Ok(Command::new(binary))
}

/// Programs that some tests drive, and the packages of Debian that they come from.
const PROGRAMS: &[(&str, &str)] =
    &[("/usr/bin/podman", "podman"), ("/usr/sbin/sshd", "openssh-server")];

/// Installs the programs that some tests drive, as root on a Debian without systemd, such as a container
/// or a machine of CI; none of their services is started. False where they are missing and were not
/// installed.
pub(crate) fn programs() -> Result<bool, String> {
    let missing = PROGRAMS.iter().filter(|(program, _)| !Path::new(program).exists());
    let packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(true);
    }
    let is_ours = rustix::process::geteuid().is_root()
        && Path::new("/usr/bin/apt-get").exists()
        && !Path::new("/run/systemd/system").exists();
    if !is_ours {
        let packages = packages.join(" ");
        eprintln!(
            "Some tests are skipped. On Debian, `apt-get install {packages}` brings what they need."
        );
        return Ok(false);
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        // In run level 1 no service is started.
        apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").arg("--quiet=2");
        apt
    };
    process::run(apt().arg("update"))?;
    process::run(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages))?;
    Ok(true)
}

/// A Python with the independent MCP client, in an environment of its own.
pub(crate) fn python_with_mcp() -> Result<PathBuf, String> {
    let folder = cache().join(format!("python-{}", MCP_CLIENT.replace("==", "-")));
    let python = folder.join("bin/python");
    let has_client = || {
        Command::new(&python)
            .args(["-c", "import mcp"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !has_client() {
        process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
            .map_err(|error| format!("{error}\n  On Debian: `apt-get install python3-venv`"))?;
        process::run(Command::new(&python).args(["-m", "pip", "install", "--quiet", MCP_CLIENT]))?;
    }
    Ok(python)
}
