//! What a sandbox may reach beyond itself: destinations, rules on them, and what they add up to.

mod address;
mod destination;
mod policy;
mod preset;
mod rule;

pub use address::is_public;
pub use destination::{Destination, DomainName, Host, InvalidDestination};
pub use policy::{NetworkPolicy, Refusal, Verdict};
pub use preset::{PRESETS, Preset};
pub use rule::{InvalidRule, Rule, rules};
