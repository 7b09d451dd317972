//! `metrics`: figures about the home, as Prometheus and other collectors of `OpenMetrics` read them.

use armor_lifecycle::Lifecycle;
use futures_util::FutureExt;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::json;

use crate::{Call, Command, CommandError, Outcome, Run};

pub(crate) const COMMAND: Command = Command {
    name: "metrics",
    about: "Show figures about the home in the OpenMetrics format",
    arguments: &[],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let text = metrics(&call.context.lifecycle).await?;
    Outcome::well(&json!({ "openmetrics": text }), text.trim_end().to_owned())
}

/// A gauge for each value of one label.
type Labelled = Family<[(&'static str, String); 1], Gauge>;

/// The figures of this moment, in the `OpenMetrics` text format.
///
/// # Errors
/// When the registry cannot be read.
pub async fn metrics(lifecycle: &Lifecycle) -> Result<String, CommandError> {
    let mut figures = Registry::with_prefix("armor");
    let registry = lifecycle.registry();

    let tasks = Labelled::default();
    for (status, count) in registry.statistics().await?.by_status {
        set(&tasks, "status", &status, count);
    }
    figures.register("tasks", "Tasks, by status", tasks);

    let jobs = Labelled::default();
    let counts = lifecycle.queue().counts().await?;
    set(&jobs, "state", "waiting", counts.waiting);
    set(&jobs, "state", "running", counts.running);
    set(&jobs, "state", "dead", counts.dead);
    figures.register("jobs", "Jobs in the queue, by state", jobs);

    let lag = Labelled::default();
    for one in lifecycle.consumers().lag().await? {
        set(&lag, "consumer", one.consumer, one.events);
    }
    figures.register("consumer_lag_events", "Events that a consumer has not dealt with yet", lag);

    let letters = registry.dead_letters(u32::MAX).await?.len() as u64;
    let running = registry.running_executions().await?.len() as u64;
    let single = [
        ("event_log_head", "The place of the newest event", registry.head().await?.0),
        ("dead_letters", "Events that a consumer gave up on", letters),
        ("executions_running", "Commands that run", running),
    ];
    for (name, help, value) in single {
        let gauge: Gauge = Gauge::default();
        gauge.set(value.cast_signed());
        figures.register(name, help, gauge);
    }
    let mut text = String::new();
    encode(&mut text, &figures).map_err(CommandError::Metrics)?;
    Ok(text)
}

fn set(family: &Labelled, label: &'static str, value: &str, count: u64) {
    family.get_or_create(&[(label, value.to_owned())]).set(count.cast_signed());
}
