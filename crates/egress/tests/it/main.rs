//! The proxy, as programs see it, and what it keeps from them (R54).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cargo;
mod http;
mod names;
mod rules;
mod socks;
mod support;
mod tls;
