//! What tasks reach: their rules, and who carries their connections.

mod carrier;
mod carry;

use std::io::ErrorKind;
use std::path::PathBuf;

use armor_core::network::{NetworkPolicy, Rule, Verdict};
use armor_core::sandbox::{InvalidSandboxField, NetworkMode};
use armor_core::task::Task;

pub use carrier::{Carrier, CarrierProgram};

use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Adds rules about what a task may reach, in the place of those of the other verdict. They hold
    /// for the connections that are open, too.
    ///
    /// # Errors
    /// When the task has ended, or its network is none that rules govern.
    pub async fn rule(
        &self,
        reference: &str,
        rules: &[Rule],
        verdict: Verdict,
    ) -> Result<Task, LifecycleError> {
        let task = self.resolve(reference).await?;
        if rules.is_empty() {
            return Ok(task);
        }
        self.change(&task.id, |task| task.rule(rules, verdict, self.now())).await
    }

    /// The rules of a new task: those of the settings, as they are now, and its own.
    pub(crate) fn rules_for(
        &self,
        network: NetworkMode,
        own: &NetworkPolicy,
    ) -> Result<NetworkPolicy, LifecycleError> {
        match network {
            NetworkMode::Egress => Ok(self.settings.sandbox.rules.and(own)),
            _ if own.is_empty() => Ok(NetworkPolicy::default()),
            _ => Err(InvalidSandboxField::Rules(network).into()),
        }
    }

    /// The certificates that programs of a new task trust in place of the image's.
    pub(crate) fn certificates_for(
        &self,
        network: NetworkMode,
    ) -> Result<Option<PathBuf>, LifecycleError> {
        match (network, &self.settings.sandbox.certificates) {
            (NetworkMode::Egress | NetworkMode::Open, Some(file)) => {
                let found = file.canonicalize().and_then(|found| {
                    let is_file = found.metadata()?.is_file();
                    is_file.then_some(found).ok_or_else(|| ErrorKind::InvalidInput.into())
                });
                let failed = |source| LifecycleError::Certificates { file: file.clone(), source };
                found.map(Some).map_err(failed)
            }
            _ => Ok(None),
        }
    }

    /// Whether the settings let tasks have this network.
    pub(crate) fn check_network(&self, network: NetworkMode) -> Result<(), LifecycleError> {
        let modes = &self.settings.networks;
        if modes.contains(&network) {
            Ok(())
        } else {
            Err(LifecycleError::NetworkRefused { network, modes: modes.clone() })
        }
    }
}
