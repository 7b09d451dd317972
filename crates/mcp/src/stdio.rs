//! Serving one client over standard input and output.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use armor_core::error::{Code, Diagnostic};
use armor_lifecycle::Lifecycle;
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// How long calls may go on after the client closed its end. Clients send SIGTERM soon after.
const GRACE: Duration = Duration::from_millis(500);

/// The connection could not be served.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client's first message began no session.
    #[error("the client did not begin a session")]
    Begin(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The service ended badly.
    #[error("the service ended unexpectedly")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Diagnostic for StdioError {
    fn code(&self) -> Code {
        match self {
            Self::Begin(_) => Code::ArgumentInvalid,
            Self::Broken(_) => Code::Internal,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Begin(_) => Some(
                "Start armor-mcp from an MCP client; it speaks JSON on standard input.".to_owned(),
            ),
            Self::Broken(_) => None,
        }
    }
}

/// Serves until the client closes its end, or `stop` is cancelled. Commands that run then go on
/// in their sandboxes.
///
/// # Errors
/// When the client begins no session.
pub async fn serve_stdio(lifecycle: Lifecycle, stop: CancellationToken) -> Result<(), StdioError> {
    let stopping = CancellationToken::new();
    let server = Server::new(lifecycle, stopping.clone());
    let service = CancellationToken::new();
    let (stdin, stdout) = rmcp::transport::stdio_pipes();

    let at_end = stop.clone();
    let stdin = EndWatch::new(stdin, move || {
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            at_end.cancel();
        });
    });
    let ending = service.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        // Ours first: calls answer that the server stops. Then the protocol's own.
        stopping.cancel();
        ending.cancel();
    });
    match server.serve_with_ct((stdin, stdout), service).await {
        Ok(running) => {
            running.waiting().await.map_err(|error| StdioError::Broken(error.into()))?;
            Ok(())
        }
        // The client went away, or we were told to end, before anything was asked.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
            Ok(())
        }
        Err(error) => Err(StdioError::Begin(error.into())),
    }
}

/// A reader that tells once when it came to its end.
struct EndWatch<R, F> {
    reader: R,
    at_end: Option<F>,
}

impl<R, F> EndWatch<R, F> {
    const fn new(reader: R, at_end: F) -> Self {
        Self { reader, at_end: Some(at_end) }
    }
}

impl<R: AsyncRead + Unpin, F: FnOnce() + Unpin> AsyncRead for EndWatch<R, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.reader).poll_read(context, buffer);
        let ended = match &read {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if ended && let Some(at_end) = self.at_end.take() {
            at_end();
        }
        read
    }
}
