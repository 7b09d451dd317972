//! Two ends of a connection, brought together.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::timeout;

use crate::hello::{Hello, Said};
use crate::upstream::{Names, Upstream};

/// How long nothing may come from one side when the other has nothing more to say. It may have gone
/// altogether: a closed end looks the same as one that only listens.
const HALF_CLOSED: Duration = Duration::from_mins(10);
/// What is carried at one time, in bytes.
const PIECE: usize = 16 << 10;

/// Carries bytes both ways until both sides have ended. Nothing goes on to a server before it is known
/// that its name may be asked for.
pub(crate) async fn relay(
    program: impl AsyncRead + AsyncWrite,
    upstream: Upstream,
) -> io::Result<()> {
    let (mut from_program, to_program) = split(program);
    let names = upstream.names();
    let (from_upstream, mut to_upstream) = split(upstream);
    let is_half_closed = AtomicBool::new(false);
    let out = async {
        let first = first_message(&mut from_program, &names, &is_half_closed).await?;
        to_upstream.write_all(&first).await?;
        to_upstream.flush().await?;
        drop(first);
        carry(from_program, to_upstream, &is_half_closed).await
    };
    let back = carry(from_upstream, to_program, &is_half_closed);
    tokio::try_join!(out, back).map(drop)
}

/// What a program says first, once the name in it is judged.
async fn first_message(
    from_program: &mut (impl AsyncRead + Unpin),
    names: &Names,
    is_half_closed: &AtomicBool,
) -> io::Result<Vec<u8>> {
    let (mut message, mut hello) = (Vec::new(), Hello::default());
    loop {
        let begun = message.len();
        message.resize(begun + PIECE, 0);
        let came = read(from_program, &mut message[begun..], is_half_closed).await?;
        message.truncate(begun + came);
        match hello.look(&message) {
            // Who ends in the middle of it has said all.
            Ok(Said::Part) if came > 0 => {}
            Ok(Said::Part | Said::Nothing) => return Ok(message),
            Ok(Said::Name(name)) => return names.judge(&name).map(|()| message),
            Err(reason) => return Err(names.refuse("TLS", reason)),
        }
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    is_half_closed: &AtomicBool,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let came = read(&mut from, &mut piece, is_half_closed).await?;
        if came == 0 {
            is_half_closed.store(true, Ordering::Relaxed);
            return to.shutdown().await;
        }
        to.write_all(&piece[..came]).await?;
        to.flush().await?;
    }
}

/// Takes what comes, as long as the other side may still have something to say.
async fn read(
    from: &mut (impl AsyncRead + Unpin),
    piece: &mut [u8],
    is_half_closed: &AtomicBool,
) -> io::Result<usize> {
    loop {
        match timeout(HALF_CLOSED, from.read(piece)).await {
            Ok(came) => return came,
            Err(_) if is_half_closed.load(Ordering::Relaxed) => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(_) => {}
        }
    }
}
