//! A command on a terminal, as a person works with it.

use std::fmt;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::id::ExecutionId;
use crate::sandbox::{CommandEnd, RuntimeError, UserIds};

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// How wide it is.
    pub columns: u16,
    /// How high it is.
    pub rows: u16,
}

/// A command to run on a terminal of its own.
#[derive(Debug, Clone)]
pub struct TerminalRequest {
    /// Which execution it is.
    pub execution: ExecutionId,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where in the sandbox; absolute.
    pub cwd: String,
    /// Variables added to those that the sandbox has.
    pub env: Vec<(String, String)>,
    /// Who runs it.
    pub user: UserIds,
    /// The terminal's size at first.
    pub size: TerminalSize,
}

/// What comes of something that takes a while.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A command that runs on a terminal. It is ended when this is dropped.
pub struct Terminal {
    /// What is shown. It ends, or fails, when nobody is left who could write.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// What is typed.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// Takes a new size.
    pub size: watch::Sender<TerminalSize>,
    /// The command's end.
    pub end: Pending<Result<CommandEnd, RuntimeError>>,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("size", &*self.size.borrow()).finish_non_exhaustive()
    }
}
