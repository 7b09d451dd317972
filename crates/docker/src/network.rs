//! The network of an `internal` sandbox: a bridge of the task's own without a route out; and that of
//! an `open` one: a bridge of its own with one.
//!
//! An internal bridge alone still leads to the host, at the bridge's own address. So the bridge
//! gets none (`inhibit_ipv4`), and the sandbox has nobody to talk to but itself. The engine's
//! default address pools are good for about 30 networks, so each takes a small subnet of a range
//! of our own.

use std::collections::HashMap;

use armor_core::id::{HomeId, TaskId};
use armor_core::sandbox::RuntimeError;
use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use crate::digest::digest;
use crate::engine::{Engine, status};
use crate::labels::{TASK_LABEL, filter, labels, name};

/// How many subnets are tried before giving up: others may have taken the first.
const TRIES: u64 = 32;

/// Whom a network leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nobody.
    Nobody,
    /// Whomever the engine's machine reaches.
    Everybody,
}

/// Makes the task's network, if it is not there.
pub(crate) async fn create(
    engine: &Engine,
    home: &HomeId,
    task: &TaskId,
    reach: Reach,
) -> Result<(), RuntimeError> {
    if !ids(engine, home, task).await?.is_empty() {
        return Ok(());
    }
    let mut attempt = 0;
    loop {
        let made = engine
            .call(
                "make a network",
                engine.docker().await?.create_network(request(home, task, reach, attempt)),
            )
            .await;
        match made {
            Ok(_) => return Ok(()),
            Err(error) if attempt < TRIES && is_taken(&error) => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Whether the subnet overlaps with another network: engines say so in different ways.
fn is_taken(error: &RuntimeError) -> bool {
    match status(error) {
        Some(403) => true,
        Some(500) => armor_core::error::chain(error).contains("subnet"),
        _ => false,
    }
}

/// Removes the task's networks, once no container is on them.
pub(crate) async fn remove(
    engine: &Engine,
    home: &HomeId,
    task: &TaskId,
) -> Result<(), RuntimeError> {
    for id in ids(engine, home, task).await? {
        let removed =
            engine.call("remove a network", engine.docker().await?.remove_network(&id)).await;
        match removed {
            Ok(()) => {}
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The tasks that have a network, or whether this one has.
pub(crate) async fn tasks(
    engine: &Engine,
    home: &HomeId,
    task: Option<&TaskId>,
) -> Result<Vec<TaskId>, RuntimeError> {
    let found = networks(engine, home, task).await?.into_iter();
    let names = found.filter_map(|network| network.labels?.remove(TASK_LABEL));
    Ok(names.filter_map(|name| TaskId::parse(name).ok()).collect())
}

async fn ids(engine: &Engine, home: &HomeId, task: &TaskId) -> Result<Vec<String>, RuntimeError> {
    let found = networks(engine, home, Some(task)).await?.into_iter();
    Ok(found.filter_map(|network| network.id).collect())
}

async fn networks(
    engine: &Engine,
    home: &HomeId,
    task: Option<&TaskId>,
) -> Result<Vec<Network>, RuntimeError> {
    let options = ListNetworksOptionsBuilder::new().filters(&filter(home, task)).build();
    engine.call("list networks", engine.docker().await?.list_networks(Some(options))).await
}

fn request(home: &HomeId, task: &TaskId, reach: Reach, attempt: u64) -> NetworkCreateRequest {
    let option =
        |key: &str, value: &str| (format!("com.docker.network.bridge.{key}"), value.to_owned());
    let is_closed = reach == Reach::Nobody;
    NetworkCreateRequest {
        name: name(home, task),
        driver: Some("bridge".to_owned()),
        internal: Some(is_closed),
        enable_ipv6: Some(false),
        labels: Some(labels(home, task)),
        options: Some(HashMap::from([
            option("inhibit_ipv4", if is_closed { "true" } else { "false" }),
            option("enable_icc", "false"),
        ])),
        ipam: Some(Ipam {
            driver: Some("default".to_owned()),
            config: Some(vec![IpamConfig {
                subnet: Some(subnet(task, attempt)),
                ..IpamConfig::default()
            }]),
            options: None,
        }),
        ..NetworkCreateRequest::default()
    }
}

/// One of the 4,096 subnets of 16 addresses in 10.231.0.0/16.
fn subnet(task: &TaskId, attempt: u64) -> String {
    let number = digest(&format!("{task} {attempt}")) % 4096;
    format!("10.231.{}.{}/28", number / 16, number % 16 * 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_lie_in_the_range_and_differ_between_attempts() {
        let task = TaskId::parse("t1").unwrap();
        let subnets: Vec<_> = (0..10).map(|attempt| subnet(&task, attempt)).collect();
        for subnet in &subnets {
            let parts: Vec<u32> = subnet
                .trim_end_matches("/28")
                .split('.')
                .map(|part| part.parse().unwrap())
                .collect();
            assert_eq!(parts[..2], [10, 231]);
            assert!(parts[2] < 256 && parts[3] < 256 && parts[3].is_multiple_of(16), "{subnet}");
        }
        assert!(subnets.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
