//! How much may be read of what others write, so that nobody is kept busy by it.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is left to be spent, by several threads.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    pub(crate) const fn new(all: u64) -> Self {
        Self(AtomicU64::new(all))
    }

    pub(crate) fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// None when that much is not left.
    pub(crate) fn spend(&self, amount: u64) -> Option<()> {
        let spent = |left: u64| left.checked_sub(amount);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent).ok().map(drop)
    }
}
