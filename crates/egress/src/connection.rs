//! A connection of a program: which protocol it speaks.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::gate::Gate;
use crate::{http, socks};

/// How long a program may take to say what it wants.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// What SOCKS5 begins with, and HTTP never.
const SOCKS5: u8 = 5;

/// Serves a program, whatever it speaks.
pub(crate) async fn serve(stream: TcpStream, gate: Gate) {
    let mut first = [0];
    match timeout(PATIENCE, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == SOCKS5 => socks::serve(stream, gate).await,
        Ok(Ok(1)) => http::serve(stream, gate).await,
        // It left without a word, or has none.
        _ => {}
    }
}
