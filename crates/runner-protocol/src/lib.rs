//! What a host and the runner in a sandbox say to each other.
//!
//! They talk over a unix socket that the runner listens at. Each message is a [frame](Decoder):
//! its length, then JSON. The runner begins a connection with [`Hello`]; then the host asks and the
//! runner answers, one request at a time. Files go along as descriptors: the output of a command is
//! written by the runner into files that the host opened, so that nothing in the sandbox has a path
//! to them. docs/sandbox.md tells the whole of it.
//!
//! ```
//! use armor_runner_protocol::{Decoder, Request, encode};
//!
//! let mut decoder = Decoder::default();
//! decoder.push(&encode(&Request::List).unwrap());
//! assert_eq!(decoder.message::<Request>().unwrap(), Some(Request::List));
//! assert_eq!(decoder.message::<Request>().unwrap(), None);
//! ```

mod frame;
mod message;
mod wire;

pub use frame::{Decoder, FrameError, LARGEST_FRAME, encode};
pub use message::{
    Answer, Cause, End, Facts, Files, GroupLimits, Hello, Io, NotStarted, Request, Signal, Size,
    Start, Usage, VERSION,
};
pub use wire::{receive, send};
