//! Disks that fail under a child at work: full, failing to write, not to be written to (R96).
//!
//! The disk is a small tmpfs in a mount namespace of its own, which goes with the process. Failing
//! to write is a limit on the size of the child's files, which the kernel answers with `EFBIG`.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use armor_core::error::{Code, Diagnostic};
use armor_registry::RegistryError;

use crate::Outcome;
use crate::deed::Said;
use crate::home::Home;
use crate::process::Child;
use crate::verify::{History, verify};

/// The size of the disk.
const DISK: &str = "size=48m";
/// How many deeds in a row are acknowledged, or refused, before it is taken for a state.
const ENOUGH: u32 = 50;

/// Runs all of it in namespaces of its own.
pub(crate) fn run() -> Outcome<()> {
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(std::env::current_exe()?)
        .arg("faults-in-namespace")
        .status()?;
    if status.success() { Ok(()) } else { Err("a fault did harm".into()) }
}

pub(crate) async fn run_in_namespace() -> Outcome<()> {
    let disk = Disk::mount()?;
    let home = disk.path().join("home");
    fs::create_dir(&home)?;
    let mut history = History::default();
    for (seed, fault) in [Fault::Full, Fault::FailsToWrite].into_iter().enumerate() {
        let child = Child::start(&home, seed as u64)?;
        until_acknowledged(&child, &mut history)?;
        fault.begin(disk.path(), &child)?;
        until_refused(&child, &mut history, fault.code())?;
        fault.end(disk.path(), &child)?;
        until_acknowledged(&child, &mut history)?;
        for said in child.kill()? {
            history.add(said);
        }
        verify(&home, &history).await.map_err(|error| format!("{fault:?}: {error}"))?;
        println!("{fault:?}: refused with {}, then went on; nothing lost", fault.code());
    }
    may_not_be_written_to(disk.path(), &home).await?;
    let found = verify(&home, &history).await?;
    let (done, refused) = (history.done.len(), history.refused.len());
    println!("{done} deeds acknowledged, {refused} refused, {} events", found.events);
    Ok(())
}

/// A small disk of its own.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Outcome<Self> {
        let disk = Self { folder: tempfile::tempdir()? };
        command("mount", &["-t", "tmpfs", "-o", DISK, "none", text(disk.path())?])?;
        Ok(disk)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is still open goes with it later; the folder can be removed at once.
        let _unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Full,
    FailsToWrite,
}

impl Fault {
    const fn code(self) -> &'static str {
        match self {
            Self::Full => "database.full",
            Self::FailsToWrite => "database.io",
        }
    }

    fn begin(self, disk: &Path, child: &Child) -> Outcome<()> {
        match self {
            Self::Full => fill(&disk.join("filler")),
            Self::FailsToWrite => limit_files(child, "8192"),
        }
    }

    fn end(self, disk: &Path, child: &Child) -> Outcome<()> {
        match self {
            Self::Full => Ok(fs::remove_file(disk.join("filler"))?),
            Self::FailsToWrite => limit_files(child, "unlimited"),
        }
    }
}

/// Writes until there is no more room.
fn fill(path: &Path) -> Outcome<()> {
    let mut filler = File::create(path)?;
    for piece in [1 << 20, 1 << 12, 1] {
        while filler.write_all(&vec![0; piece]).is_ok() {}
    }
    Ok(())
}

fn limit_files(child: &Child, bytes: &str) -> Outcome<()> {
    command("prlimit", &[&format!("--pid={}", child.id()), &format!("--fsize={bytes}:unlimited")])
}

/// Waits until the child's deeds succeed one after the other.
fn until_acknowledged(child: &Child, history: &mut History) -> Outcome<()> {
    let mut in_a_row = 0;
    while in_a_row < ENOUGH {
        let said = child.next()?;
        match said {
            Said::Begun(_) => {}
            Said::Done(_) => in_a_row += 1,
            Said::Refused { .. } => in_a_row = 0,
        }
        history.add(said);
    }
    Ok(())
}

/// Waits until the child's deeds are refused one after the other, all with this code.
fn until_refused(child: &Child, history: &mut History, expected: &str) -> Outcome<()> {
    let mut in_a_row = 0;
    while in_a_row < ENOUGH {
        let said = child.next()?;
        match &said {
            Said::Begun(_) => {}
            Said::Done(_) => in_a_row = 0,
            Said::Refused { code, .. } if code == expected => in_a_row += 1,
            Said::Refused { why, code, .. } => {
                return Err(format!("refused with {code}, not {expected}: {why}").into());
            }
        }
        history.add(said);
    }
    Ok(())
}

/// A home on a disk that may not be written to is not opened, and says why.
async fn may_not_be_written_to(disk: &Path, home: &Path) -> Outcome<()> {
    command("mount", &["-o", "remount,ro", text(disk)?])?;
    let Err(error) = Home::open(home).await else {
        return Err("a home was opened on a disk that may not be written to".into());
    };
    let code = error.downcast_ref().map(RegistryError::code);
    if code != Some(Code::DatabaseReadOnly) {
        return Err(format!("it was not said that the disk is read-only: {error}").into());
    }
    println!("ReadOnly: {error}");
    command("mount", &["-o", "remount,rw", text(disk)?])
}

fn text(path: &Path) -> Outcome<&str> {
    path.to_str().ok_or_else(|| "a path is not UTF-8".into())
}

fn command(program: &str, arguments: &[&str]) -> Outcome<()> {
    let status = Command::new(program).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(format!("{program} {arguments:?}: {status}").into()) }
}
