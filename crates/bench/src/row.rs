//! One line of a result: what was measured, beside what, and whether it is good enough.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::times::Times;

/// The unit in which an area tells its times.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Unit {
    #[serde(rename = "µs")]
    Micros,
    #[serde(rename = "ms")]
    Millis,
}

impl Unit {
    fn of(self, time: Duration) -> f64 {
        let a_second = match self {
            Self::Micros => 1e6,
            Self::Millis => 1e3,
        };
        rounded(time.as_secs_f64() * a_second)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Micros => "µs",
            Self::Millis => "ms",
        })
    }
}

/// What we mean to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// A p99 of ours below this.
    P99Below(Duration),
    /// At most so many times the baseline's median.
    Ratio(f64),
    /// The same, which no version claims yet.
    RatioLater(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P99Below(limit) => write!(f, "p99 < {limit:?}"),
            Self::Ratio(most) => write!(f, "ratio ≤ {most}"),
            Self::RatioLater(most) => write!(f, "{most} (later)"),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Target {
    fn is_met(self, ours_p99: Option<Duration>, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::P99Below(limit) => ours_p99.map(|p99| p99 < limit),
            Self::Ratio(most) => ratio.map(|ratio| ratio <= most),
            Self::RatioLater(_) => None,
        }
    }
}

/// What is measured, before it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) area: &'static str,
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) baseline: &'static str,
    pub(crate) target: Option<Target>,
}

/// A measurement; what has no meaning in it is null.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) area: &'static str,
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) ours_p50: Option<f64>,
    pub(crate) ours_p99: Option<f64>,
    pub(crate) baseline: &'static str,
    pub(crate) baseline_p50: Option<f64>,
    /// For people: it tells a disk's own bad moments from ours.
    #[serde(skip)]
    pub(crate) baseline_p99: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Option<Target>,
    pub(crate) ok: Option<bool>,
}

impl Row {
    pub(crate) fn new(subject: Subject, times: &Times) -> Self {
        let Subject { area, name, unit, baseline, target } = subject;
        let (ours, base) = (times.of_ours(0.5), times.of_baseline(0.5));
        let ratio = ours.zip(base).map(|(ours, base)| rounded(ours.div_duration_f64(base)));
        let told = |time: Option<Duration>| time.map(|time| unit.of(time));
        Self {
            area,
            name,
            unit,
            ours_p50: told(ours),
            ours_p99: told(times.of_ours(0.99)),
            baseline,
            baseline_p50: told(base),
            baseline_p99: told(times.of_baseline(0.99)),
            ratio,
            target,
            ok: target.and_then(|target| target.is_met(times.of_ours(0.99), ratio)),
        }
    }
}

/// To three places, which is more than a measurement is good for.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_row_without_a_side_has_nulls_and_no_verdict() {
        let mut times = Times::new().unwrap();
        times.baseline(async { Ok::<_, ()>(()) }).await.unwrap();
        let target = Some(Target::Ratio(1.3));
        let subject = Subject { area: "a", name: "n", unit: Unit::Micros, baseline: "b", target };
        let mut json = serde_json::to_value(Row::new(subject, &times)).unwrap();
        json["baseline_p50"].take();
        let wanted = r#"{"area":"a","name":"n","unit":"µs","ours_p50":null,"ours_p99":null,"baseline":"b","baseline_p50":null,"ratio":null,"target":"ratio ≤ 1.3","ok":null}"#;
        assert_eq!(json.to_string(), wanted);
    }

    #[test]
    fn a_target_is_met_at_its_bound_and_a_later_one_is_not_judged() {
        let (limit, p99) = (Duration::from_millis(1), Some(Duration::from_micros(999)));
        assert_eq!(Target::P99Below(limit).is_met(p99, None), Some(true));
        assert_eq!(Target::P99Below(limit).is_met(Some(limit), None), Some(false));
        assert_eq!(Target::Ratio(1.3).is_met(None, Some(1.3)), Some(true));
        assert_eq!(Target::Ratio(1.3).is_met(None, Some(1.31)), Some(false));
        assert_eq!(Target::RatioLater(1.15).is_met(p99, Some(9.0)), None);
    }
}
