//! A command on a terminal, through the runner in a sandbox.

use std::io;
use std::os::fd::OwnedFd;

use armor_core::id::SandboxId;
use armor_core::sandbox::{CommandEnd, RuntimeError, Terminal, TerminalRequest, TerminalSize};
use armor_runner::{Answer, Connection, Io, Request, Size, Start};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::Inside;
use super::command::{command_end, last_answer};
use crate::exec::engine_broke;

const ACTION: &str = "give a terminal";

impl Inside {
    /// Runs a command on a terminal; none when the sandbox has no runner.
    pub(crate) async fn terminal(
        &self,
        sandbox: &SandboxId,
        request: &TerminalRequest,
    ) -> Result<Option<Terminal>, RuntimeError> {
        let Some(mut connection) = self.connect(sandbox).await? else { return Ok(None) };
        let TerminalSize { columns, rows } = request.size;
        let start = Start {
            execution: request.execution.to_string(),
            argv: request.argv.clone(),
            cwd: request.cwd.clone(),
            env: request.env.clone(),
            limit_ms: None,
            io: Io::Terminal(Size { columns, rows }),
        };
        match self.ask(&mut connection, &Request::Start(start), ACTION).await? {
            Answer::Started { .. } => {}
            answer => {
                return Err(engine_broke(ACTION, &format!("the shell did not start: {answer:?}")));
            }
        }
        let host_end = connection.descriptor();
        let host_end = host_end.ok_or_else(|| engine_broke(ACTION, "none came along"))?;
        let (size, sizes) = watch::channel(request.size);
        let (output, input) = both_ways(host_end, sizes)
            .map_err(|source| RuntimeError::Engine { action: ACTION, source: Box::new(source) })?;
        let end = Box::pin(until_end(connection));
        Ok(Some(Terminal { output: Box::new(output), input: Box::new(input), size, end }))
    }
}

/// The terminal as something to read and something to write, with sizes applied as they come.
fn both_ways(
    host_end: OwnedFd,
    mut sizes: watch::Receiver<TerminalSize>,
) -> io::Result<(pipe::Receiver, pipe::Sender)> {
    rustix::io::ioctl_fionbio(&host_end, true)?;
    let (writing, sizing) = (host_end.try_clone()?, host_end.try_clone()?);
    tokio::spawn(async move {
        while sizes.changed().await.is_ok() {
            let TerminalSize { columns, rows } = *sizes.borrow_and_update();
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            if let Err(error) = tcsetwinsize(&sizing, size) {
                tracing::debug!(%error, "the terminal keeps its size");
            }
        }
    });
    // No pipes, but tokio reads and writes them in the same way.
    Ok((
        pipe::Receiver::from_owned_fd_unchecked(host_end)?,
        pipe::Sender::from_owned_fd_unchecked(writing)?,
    ))
}

/// The connection is what keeps the command alive.
async fn until_end(mut connection: Connection) -> Result<CommandEnd, RuntimeError> {
    let (progress, _) = watch::channel(None);
    match last_answer(&mut connection, &progress).await? {
        Some(answer) => command_end(answer, ""),
        None => Err(engine_broke(ACTION, "the sandbox has ended")),
    }
}
