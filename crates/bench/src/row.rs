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
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "MiB")]
    Mebibytes,
    #[serde(rename = "%")]
    Percent,
}

impl Unit {
    fn of(self, time: Duration) -> f64 {
        let a_second = match self {
            Self::Micros => 1e6,
            Self::Millis => 1e3,
            Self::Seconds | Self::Mebibytes | Self::Percent => 1.0,
        };
        rounded(time.as_secs_f64() * a_second)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Micros => "µs",
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::Mebibytes => "MiB",
            Self::Percent => "%",
        })
    }
}

/// What we mean to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// A p99 of ours below this.
    P99Below(Duration),
    /// A median of ours below this.
    P50Below(Duration),
    /// At most so much more than the baseline.
    MoreByAtMost(f64),
    /// At most so many times the baseline's median.
    Ratio(f64),
    /// At most so much.
    AtMost(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P99Below(limit) => write!(f, "p99 < {limit:?}"),
            Self::P50Below(limit) => write!(f, "p50 < {limit:?}"),
            Self::MoreByAtMost(most) => write!(f, "+{most} at most"),
            Self::Ratio(most) => write!(f, "ratio ≤ {}", rounded(*most)),
            Self::AtMost(most) => write!(f, "≤ {}", rounded(*most)),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Target {
    fn is_met(self, times: &Times, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::P99Below(limit) => times.of_ours(0.99).map(|p99| p99 < limit),
            Self::P50Below(limit) => times.of_ours(0.5).map(|p50| p50 < limit),
            Self::Ratio(most) => ratio.map(|ratio| ratio <= most),
            Self::MoreByAtMost(_) | Self::AtMost(_) => None,
        }
    }
}

/// What is measured, before it is.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) area: &'static str,
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) baseline: &'static str,
    pub(crate) target: Option<Target>,
}

/// A measurement; what has no meaning in it is null.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) area: &'static str,
    pub(crate) name: String,
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
            ok: target.and_then(|target| target.is_met(times, ratio)),
        }
    }

    /// A figure that is not a time.
    pub(crate) fn plain(subject: Subject, ours: f64, base: f64) -> Self {
        let Subject { area, name, unit, baseline, target } = subject;
        let ok = match target {
            Some(Target::MoreByAtMost(most)) => Some(ours - base <= most),
            Some(Target::Ratio(most)) => Some(ours / base <= most),
            Some(Target::AtMost(most)) => Some(ours <= most),
            _ => None,
        };
        Self {
            area,
            name,
            unit,
            ours_p50: Some(rounded(ours)),
            ours_p99: None,
            baseline,
            baseline_p50: Some(rounded(base)),
            baseline_p99: None,
            ratio: (base > 0.0).then(|| rounded(ours / base)),
            target,
            ok,
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
    use crate::times::Side;

    #[tokio::test]
    async fn a_row_without_a_side_has_nulls_and_no_verdict() {
        let mut times = Times::new().unwrap();
        times.baseline(async { Ok::<_, ()>(()) }).await.unwrap();
        let target = Some(Target::Ratio(1.3));
        let subject =
            Subject { area: "a", name: "n".to_owned(), unit: Unit::Micros, baseline: "b", target };
        let mut json = serde_json::to_value(Row::new(subject, &times)).unwrap();
        json["baseline_p50"].take();
        let wanted = r#"{"area":"a","name":"n","unit":"µs","ours_p50":null,"ours_p99":null,"baseline":"b","baseline_p50":null,"ratio":null,"target":"ratio ≤ 1.3","ok":null}"#;
        assert_eq!(json.to_string(), wanted);
    }

    #[test]
    fn a_target_is_met_at_its_bound() {
        let (none, mut times) = (Times::new().unwrap(), Times::new().unwrap());
        times.took(Side::Ours, Duration::from_micros(990));
        let (met, missed) = (Duration::from_millis(1), Duration::from_micros(989));
        for (limit, is_met) in [(met, true), (missed, false)] {
            assert_eq!(Target::P99Below(limit).is_met(&times, None), Some(is_met));
            assert_eq!(Target::P50Below(limit).is_met(&times, None), Some(is_met));
        }
        assert_eq!(Target::Ratio(1.3).is_met(&none, Some(1.3)), Some(true));
        assert_eq!(Target::Ratio(1.3).is_met(&none, Some(1.31)), Some(false));
    }
}
