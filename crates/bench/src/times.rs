//! The times of one operation, ours beside the baseline's.

use std::time::{Duration, Instant};

use hdrhistogram::{CreationError, Histogram};

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Armor's.
    Ours,
    /// What a user would have instead.
    Baseline,
}

/// Who comes first changes from turn to turn, so that neither always meets what the other left
/// in the caches.
pub(crate) fn order(turn: usize) -> [Side; 2] {
    if turn.is_multiple_of(2) { [Side::Ours, Side::Baseline] } else { [Side::Baseline, Side::Ours] }
}

/// The longest time that is told from longer ones, in nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;

/// Every time that was taken, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Times {
    ours: Histogram<u64>,
    baseline: Histogram<u64>,
}

impl Times {
    pub(crate) fn new() -> Result<Self, CreationError> {
        // Bounds of its own, because one that grows by itself cuts off what `saturating_record` is
        // given.
        let empty = Histogram::new_with_bounds(1, LONGEST, 3)?;
        Ok(Self { ours: empty.clone(), baseline: empty })
    }

    /// Does work of ours and takes its time; what fails has none.
    pub(crate) async fn ours<T, E>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        timed(&mut self.ours, work).await
    }

    /// The same for the baseline.
    pub(crate) async fn baseline<T, E>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        timed(&mut self.baseline, work).await
    }

    /// Does work of a side that is not waited for, and takes its time; what fails has none.
    pub(crate) fn run<T, E>(
        &mut self,
        side: Side,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let started = Instant::now();
        let done = work()?;
        self.took(side, started.elapsed());
        Ok(done)
    }

    /// Notes a time that was taken otherwise.
    pub(crate) fn took(&mut self, side: Side, time: Duration) {
        record(
            match side {
                Side::Ours => &mut self.ours,
                Side::Baseline => &mut self.baseline,
            },
            time,
        );
    }

    /// Forgets what a warm-up took.
    pub(crate) fn forget(&mut self) {
        self.ours.reset();
        self.baseline.reset();
    }

    /// The time that this share of our operations did not exceed; none when there was none.
    pub(crate) fn of_ours(&self, quantile: f64) -> Option<Duration> {
        at(&self.ours, quantile)
    }

    /// The same of the baseline's.
    pub(crate) fn of_baseline(&self, quantile: f64) -> Option<Duration> {
        at(&self.baseline, quantile)
    }
}

async fn timed<T, E>(
    histogram: &mut Histogram<u64>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let started = Instant::now();
    let done = work.await?;
    record(histogram, started.elapsed());
    Ok(done)
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

fn at(histogram: &Histogram<u64>, quantile: f64) -> Option<Duration> {
    let nanos = || Duration::from_nanos(histogram.value_at_quantile(quantile));
    (!histogram.is_empty()).then(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_side_has_its_own_times_and_a_failure_has_none() {
        let mut times = Times::new().unwrap();
        times.baseline(async { Ok::<_, ()>(()) }).await.unwrap();
        times.ours(async { Err::<(), _>(()) }).await.unwrap_err();
        assert!(times.of_baseline(0.5).is_some() && times.of_ours(0.5).is_none());
        times.forget();
        assert!(times.of_baseline(0.5).is_none());
    }

    #[test]
    fn a_time_comes_back_as_it_was_to_a_thousandth() {
        for millis in [1, 40, 9000] {
            let (mut times, time) = (Times::new().unwrap(), Duration::from_millis(millis));
            record(&mut times.ours, time);
            let told = times.of_ours(0.99).unwrap();
            assert!(told.abs_diff(time) < time / 900, "{told:?}");
        }
    }

    #[test]
    fn each_side_comes_first_in_turn() {
        assert_eq!(order(0), [Side::Ours, Side::Baseline]);
        assert_eq!(order(1), [Side::Baseline, Side::Ours]);
    }
}
