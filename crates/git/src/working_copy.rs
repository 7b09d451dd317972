//! A task's working copy: a repository of its own (R43).
//!
//! It has the task's branch checked out and no remote. Its objects are those of the user's
//! repository, which the sandbox sees read-only at [`paths::OBJECTS`]; where they cannot be shared,
//! it gets a copy of those it needs. It is made beside its place and renamed, so that it is there
//! whole or not at all.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use armor_core::sandbox::{UserIds, paths};
use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};

use crate::command::Configuration;
use crate::error::io_error;
use crate::{GitError, SourceRepository};

/// What a working copy is made from.
#[derive(Debug, Clone, Copy)]
pub struct WorkingCopy<'a> {
    /// The user's repository.
    pub source: &'a SourceRepository,
    /// The branch to check out.
    pub branch: &'a str,
    /// The commit that it starts at.
    pub base: &'a str,
    /// The folder of the source's objects, if they are shared.
    pub objects: Option<&'a Path>,
}

/// Makes a working copy at `place` that belongs to `owner`. That it is there is no error.
///
/// # Errors
/// When git or the file system fails; nothing is at `place` then.
pub async fn make_from(
    copy: WorkingCopy<'_>,
    place: &Path,
    owner: UserIds,
) -> Result<(), GitError> {
    if place.exists() {
        return Ok(());
    }
    let beside = begin(place)?;
    populate(copy, &beside).await?;
    finish(&beside, place, owner)
}

/// Makes a working copy in the empty folder at `place`, which somebody may have mounted, so that it
/// cannot be renamed over. What an attempt that was killed left in it is removed.
///
/// # Errors
/// When git or the file system fails.
pub async fn fill_from(
    copy: WorkingCopy<'_>,
    place: &Path,
    owner: UserIds,
) -> Result<(), GitError> {
    let beside = begin(place)?;
    populate(copy, &beside).await?;
    give(&beside, owner)?;
    for path in entries(place)? {
        let removed = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        removed.map_err(io_error("remove", &path))?;
    }
    for path in entries(&beside)? {
        let Some(name) = path.file_name() else { continue };
        fs::rename(&path, place.join(name)).map_err(io_error("rename", &path))?;
    }
    fs::remove_dir(&beside).map_err(io_error("remove", &beside))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, GitError> {
    let list =
        || -> std::io::Result<_> { fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    list().map_err(io_error("list", folder))
}

/// Makes an empty folder at `place` that belongs to `owner`. That it is there is no error.
///
/// # Errors
/// When the file system fails.
pub fn make_empty(place: &Path, owner: UserIds) -> Result<(), GitError> {
    if place.exists() {
        return Ok(());
    }
    let beside = begin(place)?;
    finish(&beside, place, owner)
}

/// An empty folder beside `place`; what an attempt that was killed left there is removed.
pub(crate) fn begin(place: &Path) -> Result<PathBuf, GitError> {
    let beside = place.with_extension("new");
    match fs::remove_dir_all(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_error("remove", beside)(error));
        }
        _ => {}
    }
    fs::create_dir_all(&beside).map_err(io_error("make", &beside))?;
    Ok(beside)
}

pub(crate) fn finish(beside: &Path, place: &Path, owner: UserIds) -> Result<(), GitError> {
    give(beside, owner)?;
    fs::rename(beside, place).map_err(io_error("rename", beside))
}

async fn populate(copy: WorkingCopy<'_>, place: &Path) -> Result<(), GitError> {
    let WorkingCopy { source, branch, base, objects } = copy;
    let shared: Vec<(&str, &OsStr)> = objects
        .map(|objects| ("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects.as_os_str()))
        .into_iter()
        .collect();
    let run = async |arguments: &[&str]| {
        source.git.run(place, Configuration::None, arguments, &shared).await
    };
    let layout = source.layout().await?;
    begin_repository(&place.join(".git"), branch, &layout.object_format)?;

    if objects.is_none() {
        let path = source.path().to_string_lossy();
        run(&["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", &path, base]).await?;
    }
    if layout.shallow.exists() && objects.is_some() {
        let target = place.join(".git/shallow");
        fs::copy(&layout.shallow, &target).map_err(io_error("write", target))?;
    }
    if let Some(current) = source.current_branch().await? {
        // So that `git diff origin/main` means what an agent expects. git itself would take several
        // milliseconds for that.
        let refs = place.join(".git/packed-refs");
        fs::write(&refs, format!("{base} refs/remotes/origin/{current}\n"))
            .map_err(io_error("write", refs))?;
    }
    // The branch has no commit yet: it comes to stand here.
    run(&["reset", "--quiet", "--hard", base]).await?;

    if objects.is_some() {
        let alternates = place.join(".git/objects/info/alternates");
        fs::write(&alternates, format!("{}\n", paths::OBJECTS))
            .map_err(io_error("write", &alternates))?;
    }
    Ok(())
}

/// Makes an empty repository without hooks, as gitrepository-layout(5) has it, of the oldest format: the
/// sandbox's git may be older than ours. `git init` makes the same, and takes several milliseconds.
fn begin_repository(git_dir: &Path, branch: &str, object_format: &str) -> Result<(), GitError> {
    let (version, extensions) = match object_format {
        "sha1" => (0, String::new()),
        // Others need extensions, and those the next version of the format.
        other => (1, format!("[extensions]\n\tobjectformat = {other}\n")),
    };
    let core = format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
    );
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
        let folder = git_dir.join(folder);
        fs::create_dir_all(&folder).map_err(io_error("make", &folder))?;
    }
    for (name, content) in
        [("config", core + &extensions), ("HEAD", format!("ref: refs/heads/{branch}\n"))]
    {
        let file = git_dir.join(name);
        fs::write(&file, content).map_err(io_error("write", &file))?;
    }
    Ok(())
}

/// Gives a task's folder to `owner`, with all that is in it, if it does not belong to them. Nobody may
/// be at work in it, and Armor has to be root.
///
/// # Errors
/// When it cannot be looked at or given away.
pub fn hand_over(place: &Path, owner: UserIds) -> Result<(), GitError> {
    let metadata = place.symlink_metadata().map_err(io_error("look at", place))?;
    if (metadata.uid(), metadata.gid()) == (owner.uid, owner.gid) {
        return Ok(());
    }
    give(place, owner)
}

/// Gives a tree to `owner`, links themselves included, and lets what is made in its folders take
/// their group, because each execution has a group of its own. Whose the root is, is changed last:
/// it says that all is done.
fn give(root: &Path, owner: UserIds) -> Result<(), GitError> {
    // Only root may give something to another user. Then nobody else may come in between either.
    let is_root = rustix::process::geteuid().is_root();
    let chown = |path: &Path| {
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| io_error("give away", path)(error.into()))
    };
    let mut paths = vec![root.to_owned()];
    while let Some(path) = paths.pop() {
        let metadata = path.symlink_metadata().map_err(io_error("look at", &path))?;
        if is_root && path != root {
            chown(&path)?;
        }
        if metadata.is_dir() {
            let mode = metadata.permissions().mode() & 0o777 | 0o2700;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                .map_err(io_error("set the mode of", &path))?;
            for entry in fs::read_dir(&path).map_err(io_error("list", &path))? {
                paths.push(entry.map_err(io_error("list", &path))?.path());
            }
        }
    }
    if is_root { chown(root) } else { Ok(()) }
}
