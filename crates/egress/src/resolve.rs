//! Looking names up.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use armor_core::network::DomainName;
use async_trait::async_trait;

/// Looks names up.
#[async_trait]
pub trait Resolve: Send + Sync + fmt::Debug {
    /// The addresses of a host, in the order in which to try them.
    ///
    /// # Errors
    /// When it has none, or nobody can say.
    async fn resolve(&self, name: &DomainName) -> io::Result<Vec<IpAddr>>;
}

/// Looks names up as this machine's other programs do.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &DomainName) -> io::Result<Vec<IpAddr>> {
        // With a dot at its end no search list is tried, which could lead to another host.
        let name = match name.as_str() {
            "localhost" => "localhost".to_owned(),
            name => format!("{name}."),
        };
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address: SocketAddr| address.ip()).collect())
    }
}
