//! What follows the event log.
//!
//! - [`Consumers`] drives the durable ones, each with its cursor in the registry: whatever was
//!   committed reaches them at least once, also after a crash.
//! - [`Bus`] serves subscribers in this process, by patterns on the events' names: live, or from any
//!   place of the log on.

mod bus;
mod consumers;
mod delivery;
mod follower;

pub use armor_core::event::{InvalidPattern, Pattern};
pub use bus::{Bus, Missed, Once, Subscription};
pub use consumers::{Consumers, Lag};
pub use delivery::RetryError;
pub use follower::{Follower, Selection, Start};
