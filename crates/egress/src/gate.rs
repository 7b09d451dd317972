//! The gate: whether a connection may go where it wants to, and the connection itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use armor_core::network::{Destination, Host, NetworkPolicy, Refusal};
use nix::ifaddrs::getifaddrs;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::upstream::Upstream;
use crate::{Ledger, Resolve};

/// How long looking a name up may take, and connecting to one of its addresses.
const LIMIT: Duration = Duration::from_secs(10);

/// How long the other side may be silent before it is asked whether it is there.
const SILENCE: Duration = Duration::from_mins(1);

/// Why a connection did not come about.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It may not.
    Refused(Refusal),
    /// Nobody is there.
    Failed(io::Error),
}

/// Lets connections of one task through.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) policy: watch::Receiver<NetworkPolicy>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) resolver: Arc<dyn Resolve>,
    /// What is driven beside the connections of programs.
    pub(crate) beside: TaskTracker,
    /// Ends that.
    pub(crate) end: CancellationToken,
}

impl Gate {
    /// A connection to where a program wants to go.
    pub(crate) async fn connect(&self, to: &Destination) -> Result<Upstream, Stopped> {
        let connected = self.try_connect(to).await;
        match &connected {
            Ok(_) => {}
            Err(Stopped::Refused(reason)) => self.ledger.denied(&to.to_string(), *reason),
            Err(Stopped::Failed(error)) => self.ledger.failed(&to.to_string(), &error.to_string()),
        }
        connected
    }

    /// Notes that a program asked for something that is no destination.
    pub(crate) fn malformed(&self, text: &str) {
        self.ledger.denied(text, Refusal::Malformed);
    }

    async fn try_connect(&self, to: &Destination) -> Result<Upstream, Stopped> {
        // Before anything is asked of anybody: looking a name up tells it to others.
        let mut policy = self.policy.clone();
        let rules = policy.borrow_and_update().clone();
        rules.judge(to).map_err(Stopped::Refused)?;
        let addresses = match &to.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let found = timeout(LIMIT, self.resolver.resolve(name)).await;
                found
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                    .map_err(Stopped::Failed)?
            }
        };
        let own: Arc<[IpAddr]> = own_addresses().map_err(Stopped::Failed)?.into();
        // One that is refused hides behind none that is not.
        let mut last = None;
        for address in addresses {
            if let Err(refusal) = rules.judge_address(address, to.port, &own) {
                last = Some(Stopped::Refused(refusal));
                continue;
            }
            let connecting = TcpStream::connect(SocketAddr::new(address, to.port));
            let connected = timeout(LIMIT, connecting).await;
            match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    keep_alive(&stream).map_err(Stopped::Failed)?;
                    let ledger = self.ledger.clone();
                    return Ok(Upstream::new(stream, to.clone(), address, own, policy, ledger));
                }
                Err(error) => last = Some(Stopped::Failed(error)),
            }
        }
        Err(last.unwrap_or_else(|| Stopped::Failed(io::ErrorKind::HostUnreachable.into())))
    }
}

/// Finds out, in the end, that the other side is gone without a word.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new().with_time(SILENCE).with_interval(SILENCE);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

/// The addresses of this machine, as they are now.
fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let interfaces = getifaddrs()?;
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    Ok(addresses.collect())
}
