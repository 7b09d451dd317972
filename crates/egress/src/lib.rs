//! The way out of a sandbox with the network `egress`.
//!
//! [`Proxy::serve`] takes the connections of one task's programs from a socket that only they reach,
//! so whose they are needs no password. It speaks what programs speak to a proxy, on one port: HTTP
//! with `CONNECT`, plain HTTP, SOCKS5. Where a connection is to go is judged by the task's rules
//! before its name is looked up; names are looked up here, once, and each address is judged before it
//! is connected to. So a name that is answered with an address of this machine, or with another one
//! the second time, leads nowhere. Where a program speaks TLS, the name that it asks for inside is
//! judged, too. What was decided is counted in a [`Ledger`].

mod connection;
mod gate;
mod hello;
mod http;
mod ledger;
mod proxy;
mod relay;
mod resolve;
mod socks;
mod upstream;

pub use ledger::Ledger;
pub use proxy::Proxy;
pub use resolve::{Resolve, SystemResolver};
