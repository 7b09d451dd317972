//! Leases: the right to do something until a moment, across processes (R12).

use armor_core::time::Timestamp;

/// The right of an owner to what the name stands for, until it expires.
///
/// A holder that dies loses it by time alone; a holder that lives renews it in good time. Whoever
/// writes something under a lease that may have expired meanwhile passes the token along: a higher
/// one has been given to somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Who has it.
    pub owner: String,
    /// Rises each time the name is leased.
    pub token: u64,
    /// Since when.
    pub taken_at: Timestamp,
    /// Until when, unless it is renewed.
    pub expires_at: Timestamp,
}
