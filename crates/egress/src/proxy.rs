//! The proxy of one task.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use armor_core::network::NetworkPolicy;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gate::Gate;
use crate::{Ledger, Resolve, connection};

/// How many connections a task may have at one time. More wait.
const CONNECTIONS: usize = 256;
/// How long to wait when there is no descriptor left for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The proxy of one task.
#[derive(Debug)]
pub struct Proxy {
    policy: watch::Receiver<NetworkPolicy>,
    ledger: Arc<Ledger>,
    resolver: Arc<dyn Resolve>,
}

impl Proxy {
    /// A proxy by these rules, whatever they are at the moment.
    pub const fn new(
        policy: watch::Receiver<NetworkPolicy>,
        ledger: Arc<Ledger>,
        resolver: Arc<dyn Resolve>,
    ) -> Self {
        Self { policy, ledger, resolver }
    }

    /// Serves the programs that connect, until the end. Then their connections end, and all that they
    /// moved is counted.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub async fn serve(
        &self,
        listener: std::net::TcpListener,
        end: impl Future<Output = ()>,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut connections = JoinSet::new();
        let gate = Gate {
            policy: self.policy.clone(),
            ledger: self.ledger.clone(),
            resolver: self.resolver.clone(),
            beside: TaskTracker::new(),
            end: CancellationToken::new(),
        };
        tokio::select! {
            () = accept(&listener, &gate, &mut connections) => {}
            () = end => {}
        }
        connections.shutdown().await;
        gate.end.cancel();
        gate.beside.close();
        gate.beside.wait().await;
        Ok(())
    }
}

async fn accept(listener: &TcpListener, gate: &Gate, connections: &mut JoinSet<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let gate = gate.clone();
                connections.spawn(async move {
                    connection::serve(stream, gate).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection of a sandbox was not accepted");
                sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}
