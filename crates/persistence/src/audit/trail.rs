//! The consumer that writes the audit logs, rotates them and mends them.

use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use armor_core::error::Diagnostic;
use armor_core::event::{Consumer, ConsumerError, ConsumerName, Event, Seq};
use armor_core::id::TaskId;
use armor_registry::{Registry, RegistryError};
use async_trait::async_trait;

use crate::error::io_error;
use crate::folder::sync_folder;
use crate::restored::{self, Pages, recovered, restored_at};
use crate::{StorageError, TaskFolder, TaskFolders};

use super::files::{
    Archive, First, Tail, archives, compress, first_place, name, open_active, remove_archives,
    seal, settle,
};
use super::line::End;
use super::table::{Agreement, TableError, TableLines};

/// The consumer that writes the audit logs.
///
/// It appends what it is given in one go and syncs it once: up to a hundred events, as the driver of the
/// consumers hands them out.
#[derive(Debug)]
pub struct AuditTrail {
    folders: TaskFolders,
    registry: Arc<dyn Registry>,
    archive_at: u64,
}

impl AuditTrail {
    /// How large a file grows before it becomes an archive, in bytes.
    pub const ARCHIVE_AT: u64 = 16 * 1024 * 1024;

    /// An audit trail of what `registry` commits, into `folders`.
    pub fn new(folders: TaskFolders, registry: Arc<dyn Registry>) -> Self {
        Self { folders, registry, archive_at: Self::ARCHIVE_AT }
    }

    /// Makes an archive of a file that has grown past `bytes`, instead of past [`Self::ARCHIVE_AT`].
    #[must_use]
    pub const fn archiving_at(mut self, bytes: u64) -> Self {
        self.archive_at = bytes;
        self
    }

    fn failed(error: impl Diagnostic + Send + Sync + 'static) -> ConsumerError {
        ConsumerError::new("audit", "write the audit log", error)
    }

    fn table_failed(error: TableError) -> ConsumerError {
        match error {
            TableError::Registry(error) => Self::failed(error),
            TableError::Storage(error) => Self::failed(error),
        }
    }

    async fn apply_to(&self, id: &TaskId, events: &[&Event]) -> Result<(), ConsumerError> {
        match self.registry.get(id).await {
            Ok(_) => {}
            // It was deleted since; its folder goes, or is gone.
            Err(RegistryError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(Self::failed(error)),
        }
        let folder = self.folders.of(id);
        folder.create().map_err(Self::failed)?;
        let end = match settle(&folder).map_err(Self::failed)? {
            Tail::At(end) => end,
            Tail::Damaged => return self.rewrite(id, &folder).await,
        };
        let fresh: Vec<_> =
            events.iter().copied().filter(|event| event.task_seq() > end.task_seq).collect();
        match fresh.first() {
            None => Ok(()),
            Some(first) if first.task_seq() == end.task_seq + 1 => {
                let bytes = append(&folder, &end, &fresh).map_err(Self::failed)?;
                if bytes > self.archive_at { self.archive(&folder, &fresh).await } else { Ok(()) }
            }
            // Lines are missing in between.
            Some(_) => self.rewrite(id, &folder).await,
        }
    }

    /// Makes an archive of the file, to which these events were just appended.
    async fn archive(&self, folder: &TaskFolder, fresh: &[&Event]) -> Result<(), ConsumerError> {
        let First::Place(first) = first_place(folder).map_err(Self::failed)? else { return Ok(()) };
        let Some(last) = fresh.last().map(|event| event.task_seq()) else { return Ok(()) };
        let work = folder.clone();
        let sealing = tokio::task::spawn_blocking(move || seal(&work, first, last));
        let sealed = sealing.await.map_err(io::Error::other);
        let sealed = sealed.map_err(io_error("archive", folder.audit_file()));
        sealed.flatten().map_err(Self::failed)
    }

    /// Makes the files of every task say what the table says. One that said something else, of what
    /// the table does not know any more, is kept beside it.
    async fn agree_with_the_table(&self, restored: Seq) -> Result<(), ConsumerError> {
        let mut pages = Pages::of(self.registry.as_ref());
        loop {
            let tasks = pages.next().await.map_err(Self::failed)?;
            if tasks.is_empty() {
                return Ok(());
            }
            for task in tasks {
                self.agree(&task.id, restored).await?;
            }
        }
    }

    /// The same for one task.
    async fn agree(&self, task: &TaskId, since: Seq) -> Result<(), ConsumerError> {
        let folder = self.folders.of(task);
        folder.create().map_err(Self::failed)?;
        settle(&folder).map_err(Self::failed)?;
        if !self.set_aside_what_the_table_lacks(task, &folder, since).await? {
            self.rewrite(task, &folder).await?;
        }
        Ok(())
    }

    /// Gives other names to the files from the first one on that says more, or something else, than
    /// the table. True when all say the same; one that is only shorter stays.
    async fn set_aside_what_the_table_lacks(
        &self,
        id: &TaskId,
        folder: &TaskFolder,
        restored: Seq,
    ) -> Result<bool, ConsumerError> {
        let archives = archives(folder).map_err(Self::failed)?;
        let mut table = TableLines::behind(self.registry.as_ref(), id, End::start());
        let agreeing = Self::agreeing(&mut table, &archives).await?;
        if agreeing == archives.len() {
            let path = folder.audit_file();
            // Without a file there is nothing in it, which is shorter than the table, or the same.
            let active: Box<dyn BufRead + Send> = match open_active(folder).map_err(Self::failed)? {
                Some(file) => Box::new(file),
                None => Box::new(io::empty()),
            };
            match table.compare(&path, active, u64::MAX).await.map_err(Self::table_failed)? {
                Agreement::Same => return Ok(true),
                Agreement::Shorter => return Ok(false),
                Agreement::Differs => {}
            }
        }
        set_aside(folder, &archives[agreeing..], restored).map_err(Self::failed)?;
        Ok(false)
    }

    /// How many of these archives say what the table says; the table stands behind them.
    async fn agreeing(
        table: &mut TableLines<'_>,
        archives: &[Archive],
    ) -> Result<usize, ConsumerError> {
        for (number, archive) in archives.iter().enumerate() {
            let before = table.end.clone();
            let agreement = if archive.first == before.task_seq + 1 {
                let text = archive.open().map_err(io_error("open", &archive.path));
                let text = text.map_err(Self::failed)?;
                table.compare(&archive.path, text, archive.last).await
            } else {
                Ok(Agreement::Differs)
            };
            let agreement = agreement.map_err(Self::table_failed)?;
            if agreement != Agreement::Same || table.end.task_seq != archive.last {
                table.go_back(before);
                return Ok(number);
            }
        }
        Ok(archives.len())
    }

    /// Writes anew from the event table, which has the last word, all but the archives that say what it
    /// says.
    ///
    /// The new files are whole and synced before an old one goes. A kill in between leaves what does
    /// not fit together, which shows when the event is given again.
    async fn rewrite(&self, id: &TaskId, folder: &TaskFolder) -> Result<(), ConsumerError> {
        let old = archives(folder).map_err(Self::failed)?;
        let mut table = TableLines::behind(self.registry.as_ref(), id, End::start());
        let kept = Self::agreeing(&mut table, &old).await?;
        let write_failed = || io_error("write anew", folder.audit_file());
        let mut new =
            NewFiles::begin(folder, &table.end).map_err(write_failed()).map_err(Self::failed)?;
        while let Some(line) = table.next().await.map_err(Self::table_failed)? {
            let written = new.line(&line, table.end.task_seq, self.archive_at);
            written.map_err(write_failed()).map_err(Self::failed)?;
        }
        new.replace(&old[kept..]).map_err(Self::failed)
    }
}

#[async_trait]
impl Consumer for AuditTrail {
    fn name(&self) -> ConsumerName {
        "audit"
    }

    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError> {
        let mut tasks: Vec<_> = events.iter().filter_map(Event::task).collect();
        tasks.sort_unstable();
        tasks.dedup();
        if let Some(seq) = restored_at(events) {
            self.agree_with_the_table(seq).await?;
        }
        for (task, seq) in recovered(events) {
            self.agree(task, seq).await?;
        }
        for task in tasks {
            let of_task: Vec<_> =
                events.iter().filter(|event| event.task() == Some(task)).collect();
            self.apply_to(task, &of_task).await?;
        }
        Ok(())
    }
}

/// Appends lines, and says how long the file is then.
fn append(folder: &TaskFolder, end: &End, events: &[&Event]) -> Result<u64, StorageError> {
    let path = folder.audit_file();
    let write = || -> io::Result<u64> {
        let mut end = end.clone();
        let mut text = Vec::new();
        for event in events {
            end.chain(event, &mut text)?;
        }
        let is_new = !path.exists();
        let mut file = File::options().create(true).append(true).open(&path)?;
        file.write_all(&text)?;
        file.sync_data()?;
        if is_new {
            sync_folder(&folder.logs())?;
        }
        Ok(file.metadata()?.len())
    };
    write().map_err(io_error("append to", &path))
}

/// Gives other names to archives and to the file that is written to, from the newest on, so that those
/// which are left always go on from the start.
fn set_aside(folder: &TaskFolder, archives: &[Archive], restored: Seq) -> Result<(), StorageError> {
    let stem = format!("audit-before-{restored}");
    let active = (folder.audit_file(), format!("{stem}.jsonl"));
    let archived = archives
        .iter()
        .rev()
        .map(|archive| (archive.path.clone(), name(&stem, archive.first, archive.last)));
    let mut files = [active].into_iter().chain(archived).filter(|(path, _)| path.exists());
    files.try_for_each(|(path, kept)| restored::set_aside(&path, &kept))
}

/// Files that are to take the place of a log's, from some place on.
struct NewFiles<'a> {
    folder: &'a TaskFolder,
    /// What is to be written to from then on.
    active: File,
    path: PathBuf,
    bytes: u64,
    /// Of the next line in the active file's first place.
    first: u64,
    archives: Vec<(PathBuf, Archive)>,
}

impl<'a> NewFiles<'a> {
    fn begin(folder: &'a TaskFolder, behind: &End) -> io::Result<Self> {
        remove_leftovers(&folder.logs())?;
        let path = folder.audit_file().with_extension("jsonl.new");
        let active = File::create(&path)?;
        let first = behind.task_seq + 1;
        Ok(Self { folder, active, path, bytes: 0, first, archives: Vec::new() })
    }

    /// Takes the line of the event at this place.
    fn line(&mut self, line: &[u8], place: u64, archive_at: u64) -> io::Result<()> {
        self.active.write_all(line)?;
        self.bytes += line.len() as u64;
        if self.bytes > archive_at {
            let archive = Archive::of(self.folder, self.first, place);
            let mut beside = archive.path.clone().into_os_string();
            beside.push(".new");
            compress(&self.path, Path::new(&beside))?;
            self.archives.push((beside.into(), archive));
            self.active = File::create(&self.path)?;
            (self.bytes, self.first) = (0, place + 1);
        }
        Ok(())
    }

    /// Puts the new files into their places, for these archives and the active file.
    fn replace(self, old: &[Archive]) -> Result<(), StorageError> {
        self.active.sync_all().map_err(io_error("sync", &self.path))?;
        remove_archives(old)?;
        for (beside, archive) in &self.archives {
            fs::rename(beside, &archive.path).map_err(io_error("rename", beside))?;
        }
        let path = self.folder.audit_file();
        fs::rename(&self.path, &path).map_err(io_error("rename", &self.path))?;
        sync_folder(&self.folder.logs()).map_err(io_error("sync", self.folder.logs()))
    }
}

/// Removes what a kill left of archives that were being made.
fn remove_leftovers(logs: &Path) -> io::Result<()> {
    for entry in fs::read_dir(logs)? {
        let path = entry?.path();
        if path.to_str().is_some_and(|path| path.ends_with(".zst.new")) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
