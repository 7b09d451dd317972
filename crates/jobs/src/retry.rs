//! When a job that failed is tried again, and when no more.

use std::time::Duration;

/// Exponential backoff with full jitter, as in
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>: the pause is any
/// time up to a bound that doubles with each try, so that jobs which failed together do not come
/// back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest pause behind the first try.
    pub first: Duration,
    /// The longest pause of all.
    pub longest: Duration,
    /// How many failures of its own a job has before it is given up.
    pub strikes: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_mins(5), strikes: 5 }
    }
}

impl RetryPolicy {
    /// The pause behind the try of this number, for a chance between 0 and 1.
    pub(crate) fn pause(&self, tries: u32, chance: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(tries.saturating_sub(1));
        let bound = self.first.saturating_mul(doubled).min(self.longest);
        bound.mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // R33
        #[test]
        fn the_bound_of_a_pause_doubles_up_to_the_longest(tries in 1_u32..200, chance in 0.0..=1.0) {
            let policy = RetryPolicy::default();
            let (pause, longest) = (policy.pause(tries, chance), policy.pause(tries, 1.0));
            prop_assert!(pause <= longest && longest <= policy.longest);
            prop_assert_eq!(policy.pause(tries, 0.0), Duration::ZERO);
            let next = policy.pause(tries + 1, 1.0);
            prop_assert_eq!(next, (longest * 2).min(policy.longest));
        }
    }
}
