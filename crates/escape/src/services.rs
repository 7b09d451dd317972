//! Servers of the host: one that nobody may reach, and one that a task with a way out may.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::{Failure, REACHED};

/// Where the server listens that may be reached: an address that no interface of the host has.
const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// What that one says.
pub(crate) const WELCOME: &str = "welcome";

/// What a request asks for that must not come to it as one of its own: it is hidden in another one.
const SMUGGLED: &[u8] = b"/smuggled";

/// How long nothing has to come before a request is whole, whatever it says of its length.
const SILENCE: Duration = Duration::from_millis(300);
/// How much of one is read, in bytes.
const MOST: usize = 1 << 20;

/// A service of the host that listens everywhere, and tells whoever connects that he has reached it.
pub(crate) async fn serve() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("0.0.0.0:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whoever has left already has reached it all the same, and has no use for that.
            let _told = stream.write_all(&answer(&format!("{REACHED} the host\n"))).await;
        }
    });
    Ok(address)
}

/// One that may be reached: it takes all that comes on a connection for one request, and tells when there
/// was another one in it, as a server that reads lengths in another way than the proxy would find.
pub(crate) async fn serve_allowed() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((ALLOWED, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(welcome(stream));
        }
    });
    Ok(address)
}

async fn welcome(mut stream: TcpStream) {
    let (mut came, mut piece) = (Vec::new(), vec![0; 4096]);
    while came.len() < MOST {
        match timeout(SILENCE, stream.read(&mut piece)).await {
            // A connection is made before the request is sent.
            Err(_) if came.is_empty() => {}
            Ok(Ok(length)) if length > 0 => came.extend_from_slice(&piece[..length]),
            _ => break,
        }
    }
    let is_smuggled = came.windows(SMUGGLED.len()).any(|part| part == SMUGGLED);
    let said =
        if is_smuggled { format!("{REACHED} by a hidden request\n") } else { WELCOME.into() };
    // As above.
    let _told = stream.write_all(&answer(&said)).await;
}

fn answer(body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}
