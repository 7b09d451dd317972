//! What checkpoints, and files and folders, need: every chunk that their trees name, each looked at once.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use crate::ChunkId;
use crate::error::StoreError;
use crate::index::{Chunks, FirstBytes};
use crate::manifest::Manifest;
use crate::restore::tree;
use crate::tree::{Kind, Piece};

/// The chunks that some checkpoints need.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    chunks: HashSet<ChunkId, BuildHasherDefault<FirstBytes>>,
    /// The folders that were looked into. Not the same: a file may hold what a folder's chunk does.
    folders: HashSet<ChunkId, BuildHasherDefault<FirstBytes>>,
    /// What they take in the store, in bytes.
    pub(crate) bytes: u64,
}

impl Needed {
    /// Adds what a checkpoint needs, and says which chunks nobody needed before.
    ///
    /// # Errors
    /// When one of its folders is missing: then it is not known what it needs.
    pub(crate) fn add(
        &mut self,
        chunks: &Chunks,
        manifest: &Manifest,
    ) -> Result<Vec<ChunkId>, StoreError> {
        let roots = manifest.roots.iter().map(|root| Kind::Folder { tree: root.tree }).collect();
        self.add_all(chunks, roots).map_err(|source| StoreError::Incomplete {
            task: manifest.task.clone(),
            checkpoint: manifest.id.clone(),
            source: Box::new(source),
        })
    }

    /// The same for files, and folders with all that is in them.
    pub(crate) fn add_all(
        &mut self,
        chunks: &Chunks,
        mut waiting: Vec<Kind>,
    ) -> Result<Vec<ChunkId>, StoreError> {
        let mut newly = Vec::new();
        while let Some(kind) = waiting.pop() {
            match kind {
                Kind::Folder { tree: id } => {
                    self.insert(chunks, id, &mut newly);
                    if self.folders.insert(id) {
                        let found = tree(chunks, &id)?.entries;
                        waiting.extend(found.into_iter().map(|entry| entry.kind));
                    }
                }
                Kind::File { pieces, .. } => {
                    for piece in pieces {
                        if let Piece::Data { chunk, .. } = piece {
                            self.insert(chunks, chunk, &mut newly);
                        }
                    }
                }
                Kind::Link { .. } | Kind::Fifo => {}
            }
        }
        Ok(newly)
    }

    fn insert(&mut self, chunks: &Chunks, id: ChunkId, newly: &mut Vec<ChunkId>) {
        if !self.chunks.insert(id) {
            return;
        }
        newly.push(id);
        if let Some((_, place)) = chunks.find(&id) {
            self.bytes += u64::from(place.stored);
        }
    }

    pub(crate) fn contains(&self, chunk: &ChunkId) -> bool {
        self.chunks.contains(chunk)
    }

    pub(crate) fn count(&self) -> u64 {
        self.chunks.len() as u64
    }
}
