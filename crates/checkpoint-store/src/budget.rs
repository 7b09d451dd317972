//! How much may be read of what others write, so that nobody is kept busy by it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is left to be spent, by several threads.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicU64,
    told: AtomicBool,
}

impl Budget {
    pub(crate) const fn new(all: u64) -> Self {
        Self { left: AtomicU64::new(all), told: AtomicBool::new(false) }
    }

    /// True once: for who tells people that there was not enough.
    pub(crate) fn is_first_refusal(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    /// None when that much is not left. Then nothing is.
    pub(crate) fn spend(&self, amount: u64) -> Option<()> {
        let spent = |left: u64| left.checked_sub(amount.max(1));
        let spending = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
        if spending.is_err() {
            self.left.store(0, Ordering::Relaxed);
        }
        spending.ok().map(drop)
    }
}
