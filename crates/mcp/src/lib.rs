//! Armor as a server of the Model Context Protocol.
//!
//! [`serve_stdio`] and [`serve_http`] offer the same tools (one subject a file in `tools/`) over
//! the lifecycle. Nothing of ours lives in a connection: each call names its task, so any server
//! process of the same home takes the next one. Both speak revision 2026-07-28 (discovery, no
//! handshake) and the older ones by their handshake.
//!
//! A call that fails is a result, marked as an error, with a stable code, what happened, and what
//! to do next. Types of the protocol stay inside this crate.

mod arguments;
mod http;
mod progress;
mod reply;
mod server;
mod stdio;
mod tool;
mod tools;

pub use http::{HttpError, serve_http};
pub use stdio::{StdioError, serve_stdio};
