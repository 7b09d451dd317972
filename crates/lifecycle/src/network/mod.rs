//! What tasks reach: their rules, and who carries their connections.

mod carrier;
mod carry;

use armor_core::network::{NetworkPolicy, Rule, Verdict};
use armor_core::sandbox::NetworkMode;
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
        let mut task = self.resolve(reference).await?;
        for rule in rules {
            let change = |task: &Task| task.rule(rule.clone(), verdict, self.now());
            task = self.change(&task.id, change).await?;
        }
        Ok(task)
    }

    /// What a task may reach with the network `egress`: what all tasks may, and what rules of its own
    /// say.
    pub fn policy(&self, task: &Task) -> NetworkPolicy {
        self.settings.network.policy().and(&task.sandbox.rules)
    }

    /// Whether the settings let tasks have this network.
    pub(crate) fn check_network(&self, network: NetworkMode) -> Result<(), LifecycleError> {
        let modes = &self.settings.network.modes;
        if modes.contains(&network) {
            Ok(())
        } else {
            Err(LifecycleError::NetworkRefused { network, modes: modes.clone() })
        }
    }
}
