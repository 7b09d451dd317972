//! Two ends of a connection, brought together.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, split};
use tokio::time::timeout;

use crate::upstream::Upstream;

/// How long one side may go on when the other has nothing more to say. It may have gone altogether: a
/// closed end looks the same as one that only listens.
const HALF_CLOSED: Duration = Duration::from_mins(30);

/// Carries bytes both ways until both sides have ended.
pub(crate) async fn relay(
    program: impl AsyncRead + AsyncWrite,
    upstream: Upstream,
) -> io::Result<()> {
    let (mut from_program, mut to_program) = split(program);
    let (mut from_upstream, mut to_upstream) = split(upstream);
    let out = async {
        copy(&mut from_program, &mut to_upstream).await?;
        to_upstream.shutdown().await
    };
    let back = async {
        copy(&mut from_upstream, &mut to_program).await?;
        to_program.shutdown().await
    };
    tokio::pin!(out, back);
    let over = |_| io::ErrorKind::TimedOut;
    tokio::select! {
        ended = &mut out => {
            ended?;
            timeout(HALF_CLOSED, back).await.map_err(over)?
        }
        ended = &mut back => {
            ended?;
            timeout(HALF_CLOSED, out).await.map_err(over)?
        }
    }
}
