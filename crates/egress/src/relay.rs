//! Two ends of a connection, brought together.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::timeout;

use crate::upstream::Upstream;

/// How long nothing may come from one side when the other has nothing more to say. It may have gone
/// altogether: a closed end looks the same as one that only listens.
const HALF_CLOSED: Duration = Duration::from_mins(10);
/// What is carried at one time, in bytes.
const PIECE: usize = 16 << 10;

/// Carries bytes both ways until both sides have ended.
pub(crate) async fn relay(
    program: impl AsyncRead + AsyncWrite,
    upstream: Upstream,
) -> io::Result<()> {
    let (from_program, to_program) = split(program);
    let (from_upstream, to_upstream) = split(upstream);
    let is_half_closed = AtomicBool::new(false);
    let out = carry(from_program, to_upstream, &is_half_closed);
    let back = carry(from_upstream, to_program, &is_half_closed);
    tokio::try_join!(out, back).map(drop)
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    is_half_closed: &AtomicBool,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let came = match timeout(HALF_CLOSED, from.read(&mut piece)).await {
            Ok(came) => came?,
            Err(_) if is_half_closed.load(Ordering::Relaxed) => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(_) => continue,
        };
        if came == 0 {
            is_half_closed.store(true, Ordering::Relaxed);
            return to.shutdown().await;
        }
        to.write_all(&piece[..came]).await?;
        to.flush().await?;
    }
}
