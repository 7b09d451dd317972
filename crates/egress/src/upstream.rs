//! A connection to where a program wanted to go, counted, and judged anew whenever the rules change.

use std::io;
use std::mem;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use armor_core::network::{Destination, Host, NetworkPolicy, Refusal};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::Ledger;

/// A connection that was let through.
#[derive(Debug)]
pub(crate) struct Upstream {
    stream: TcpStream,
    destination: Destination,
    /// What was asked for inside.
    inner: Arc<OnceLock<Destination>>,
    address: IpAddr,
    own: Arc<[IpAddr]>,
    policy: watch::Receiver<NetworkPolicy>,
    ledger: Arc<Ledger>,
    /// What is not in the ledger yet.
    sent: u64,
    received: u64,
    told: Instant,
}

/// Judges the names that a program asks for inside a connection.
#[derive(Debug)]
pub(crate) struct Names {
    destination: Destination,
    inner: Arc<OnceLock<Destination>>,
    policy: watch::Receiver<NetworkPolicy>,
    ledger: Arc<Ledger>,
}

impl Names {
    /// Whether a name may be asked for. Where the rules let an address through, any may: whoever made
    /// them means what is there.
    pub(crate) fn judge(&self, name: &str) -> io::Result<()> {
        let Destination { host, port } = &self.destination;
        if matches!(host, Host::Address(_)) {
            return Ok(());
        }
        let Ok(inner) = name.parse().map(|host| Destination { host, port: *port }) else {
            return Err(self.refuse("TLS", Refusal::Malformed));
        };
        let judged = self.policy.borrow().judge(&inner);
        judged.map_err(|reason| self.refuse(&inner.to_string(), reason))?;
        // It is judged again whenever the rules change.
        self.inner.get_or_init(|| inner);
        Ok(())
    }

    /// Notes that something inside is refused.
    pub(crate) fn refuse(&self, what: &str, reason: Refusal) -> io::Error {
        self.ledger.denied(&format!("{what} inside {}", self.destination), reason);
        io::Error::new(io::ErrorKind::PermissionDenied, reason.to_string())
    }
}

/// How often what has moved comes into the ledger.
const TELL: Duration = Duration::from_secs(1);

impl Upstream {
    pub(crate) fn new(
        stream: TcpStream,
        destination: Destination,
        address: IpAddr,
        own: Arc<[IpAddr]>,
        policy: watch::Receiver<NetworkPolicy>,
        ledger: Arc<Ledger>,
    ) -> Self {
        ledger.began(&destination.to_string());
        Self {
            stream,
            destination,
            inner: Arc::default(),
            address,
            own,
            policy,
            ledger,
            sent: 0,
            received: 0,
            told: Instant::now(),
        }
    }

    /// Nothing moves that the rules of this moment do not allow.
    fn check(&mut self) -> io::Result<()> {
        // Whoever made the rules is gone, and so is the listener; the last ones count.
        if !self.policy.has_changed().unwrap_or(false) {
            return Ok(());
        }
        let judged = {
            let policy = self.policy.borrow_and_update();
            let inner = self.inner.get().map_or(Ok(()), |inner| policy.judge(inner));
            let by_name = policy.judge(&self.destination).and(inner);
            by_name
                .and_then(|()| policy.judge_address(self.address, self.destination.port, &self.own))
        };
        judged.map_err(|reason: Refusal| {
            self.ledger.denied(&self.destination.to_string(), reason);
            io::Error::new(io::ErrorKind::PermissionDenied, reason.to_string())
        })
    }
}

impl Upstream {
    /// What judges the names that are asked for inside.
    pub(crate) fn names(&self) -> Names {
        Names {
            destination: self.destination.clone(),
            inner: self.inner.clone(),
            policy: self.policy.clone(),
            ledger: self.ledger.clone(),
        }
    }

    fn count(&mut self, sent: usize, received: usize) {
        self.sent += u64::try_from(sent).unwrap_or(u64::MAX);
        self.received += u64::try_from(received).unwrap_or(u64::MAX);
        if self.told.elapsed() > TELL {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let (sent, received) = (mem::take(&mut self.sent), mem::take(&mut self.received));
        self.ledger.moved(&self.destination.to_string(), sent, received);
        self.told = Instant::now();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.tell();
    }
}

impl AsyncRead for Upstream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.count(0, buffer.filled().len() - before);
        Poll::Ready(self.check())
    }
}

impl AsyncWrite for Upstream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.count(sent, 0);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
