//! Values as bytes, in postcard's encoding, with their hash behind them: what was torn or damaged is
//! found.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ChunkId;
use crate::error::{StoreError, io_error};

/// The bytes of a value that is to be written to `path`.
pub(crate) fn seal(value: &impl Serialize, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = encode(value, path)?;
    let hash = ChunkId::of(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    Ok(bytes)
}

/// The same without a hash.
pub(crate) fn encode(value: &impl Serialize, path: &Path) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value).map_err(|error| io_error("encode", path)(io::Error::other(error)))
}

/// The value that was sealed; none for what is no such value, or was damaged.
pub(crate) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (bytes, hash) = bytes.split_last_chunk::<32>()?;
    if ChunkId::of(bytes).as_bytes() != hash {
        return None;
    }
    postcard::from_bytes(bytes).ok()
}
