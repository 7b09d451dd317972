//! How much an archive may have. All is counted before it is kept, so that a small archive that says
//! much takes no more memory than one that has it.

use crate::fault::ArchiveFault;
use crate::tree::{Kind, Meta, Piece};

/// How much of an archive is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportLimits {
    /// Files, folders, links, and headers that describe those. Each takes a few hundred bytes of memory
    /// until the archive has come to its end.
    pub entries: u64,
    /// Bytes in the files, holes included, and in what describes them.
    pub bytes: u64,
}

impl Default for ImportLimits {
    /// More than nearly all projects have, and less than fills a large disk.
    fn default() -> Self {
        Self { entries: 5_000_000, bytes: 256 << 30 }
    }
}

/// Bytes of names, targets, attributes and lists of parts, which are in memory until the archive ends.
const DESCRIBED: u64 = 512 << 20;

/// What has been taken in, and how much that may be.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: ImportLimits,
    entries: u64,
    bytes: u64,
    described: u64,
}

impl Budget {
    pub(crate) const fn new(limits: ImportLimits) -> Self {
        Self { limits, entries: 0, bytes: 0, described: 0 }
    }

    /// One more header, or folder that no header is of.
    pub(crate) fn entry(&mut self) -> Result<(), ArchiveFault> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ArchiveFault::TooManyEntries(self.limits.entries));
        }
        Ok(())
    }

    /// More bytes in files.
    pub(crate) fn bytes(&mut self, bytes: u64) -> Result<(), ArchiveFault> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes {
            return Err(ArchiveFault::TooManyBytes(self.limits.bytes));
        }
        Ok(())
    }

    /// More bytes in memory until the end.
    pub(crate) fn described(&mut self, bytes: usize) -> Result<(), ArchiveFault> {
        self.described = self.described.saturating_add(bytes as u64);
        if self.described > DESCRIBED {
            return Err(ArchiveFault::TooMuchDescribed);
        }
        Ok(())
    }

    /// Another entry of a folder in memory.
    pub(crate) fn kept(
        &mut self,
        name: &[u8],
        meta: &Meta,
        kind: Option<&Kind>,
    ) -> Result<(), ArchiveFault> {
        let of_kind = match kind {
            Some(Kind::File { pieces, .. }) => pieces.len() * size_of::<Piece>(),
            Some(Kind::Link { target }) => target.len(),
            Some(Kind::Folder { .. } | Kind::Fifo) | None => 0,
        };
        let attributes = meta.xattrs.iter().map(|(name, value)| name.len() + value.len() + 48);
        self.described(name.len() + of_kind + attributes.sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // R95: attributes of many entries, which compress to nothing, cannot fill the memory.
    #[test]
    fn what_is_said_of_entries_is_counted_before_it_is_kept() {
        let mut budget = Budget::new(ImportLimits::default());
        for _ in 0..511 {
            budget.described(1 << 20).unwrap();
        }
        assert_eq!(budget.described(2 << 20), Err(ArchiveFault::TooMuchDescribed));
        assert_eq!(budget.described(usize::MAX), Err(ArchiveFault::TooMuchDescribed));
    }
}
