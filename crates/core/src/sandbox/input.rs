//! What a command reads.

use std::fmt;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncRead;

/// Where a command's input comes from.
pub type InputSource = Box<dyn AsyncRead + Send + Unpin>;

/// What a command reads.
#[derive(Debug, Clone)]
pub enum Input {
    /// These bytes.
    Bytes(Bytes),
    /// What comes while it runs.
    Stream(InputStream),
}

impl Input {
    /// What it is to be read from; none when that has been taken already.
    pub fn source(&self) -> Option<InputSource> {
        match self {
            Self::Bytes(bytes) => Some(Box::new(Cursor::new(bytes.clone()))),
            Self::Stream(stream) => stream.take(),
        }
    }
}

/// Input that comes while a command runs. It is there once: a runtime takes it when the command has
/// been started, and not before. So a request can be made a second time, of another sandbox, when the
/// first one was gone, and no byte is lost; that is why it is shared.
#[derive(Clone)]
pub struct InputStream(Arc<Mutex<Option<InputSource>>>);

impl InputStream {
    /// What comes from here.
    pub fn new(source: InputSource) -> Self {
        Self(Arc::new(Mutex::new(Some(source))))
    }

    /// Takes it; none when somebody has.
    pub fn take(&self) -> Option<InputSource> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for InputStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputStream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_taken_once_whoever_holds_it_and_bytes_are_always_there() {
        let stream = Input::Stream(InputStream::new(Box::new(tokio::io::empty())));
        let again = stream.clone();
        assert!(stream.source().is_some());
        assert!(again.source().is_none());
        let bytes = Input::Bytes(Bytes::from_static(b"in"));
        assert!(bytes.source().is_some() && bytes.source().is_some());
    }
}
