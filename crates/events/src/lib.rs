//! What follows the event log.
//!
//! - [`Consumers`] drives the durable ones, each with its cursor in the registry: whatever was
//!   committed reaches them at least once, also after a crash.
//! - [`Bus`] serves subscribers in this process, by patterns on the events' names.

mod bus;
mod consumers;
mod pattern;

pub use bus::{Bus, Missed, Subscription};
pub use consumers::Consumers;
pub use pattern::{InvalidPattern, Pattern};
