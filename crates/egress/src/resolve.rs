//! Looking names up.

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use armor_core::network::DomainName;
use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Looks names up.
#[async_trait]
pub trait Resolve: Send + Sync + fmt::Debug {
    /// The addresses of a host, in the order in which to try them.
    ///
    /// # Errors
    /// When it has none, or nobody can say.
    async fn resolve(&self, name: &DomainName) -> io::Result<Vec<IpAddr>>;
}

/// Looks names up as this machine's other programs do, so many at one time.
#[derive(Debug)]
pub struct SystemResolver {
    places: Arc<Semaphore>,
}

/// How many names a task may have looked up at one time. More wait.
const LOOKUPS: usize = 16;

impl Default for SystemResolver {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &DomainName) -> io::Result<Vec<IpAddr>> {
        // Looking a name up blocks a thread, also when nobody waits for the answer any more.
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_string();
        let looking = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            drop(place);
            found.map(|found| found.map(|address| address.ip()).collect())
        });
        looking.await.map_err(io::Error::other)?
    }
}
