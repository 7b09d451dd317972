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
        let first = first_message(&mut from_program, &names).await?;
        to_upstream.write_all(&first).await?;
        to_upstream.flush().await?;
        carry(from_program, to_upstream, &is_half_closed).await
    };
    let back = carry(from_upstream, to_program, &is_half_closed);
    tokio::try_join!(out, back).map(drop)
}

/// What a program says first, once the name in it is judged.
async fn first_message(
    from_program: &mut (impl AsyncRead + Unpin),
    names: &Names,
) -> io::Result<Vec<u8>> {
    let (mut message, mut hello) = (Vec::new(), Hello::default());
    loop {
        let begun = message.len();
        message.resize(begun + PIECE, 0);
        let came = from_program.read(&mut message[begun..]).await?;
        message.truncate(begun + came);
        match hello.take(&message[begun..]) {
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
