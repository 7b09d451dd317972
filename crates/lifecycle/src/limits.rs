//! What sandboxes may use: as asked for, as the settings let them, and as there is.

use std::time::Duration;

use armor_core::sandbox::{AskedLimits, Limits};

use crate::{Lifecycle, LifecycleError};

/// How long is waited for an engine to say what it has while a task is created, for which nothing else may
/// need it. It is asked again before a sandbox is made.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

impl Lifecycle {
    /// The limits of a new task: those that were `asked` for, if a sandbox can live with them, the settings
    /// let it have them, and the engine, if it answers, has as much; for the others `defaults`, or what the
    /// engine has, if that is less.
    ///
    /// # Errors
    /// When one of that is not so.
    pub(crate) async fn limits_for(
        &self,
        asked: AskedLimits,
        defaults: Limits,
    ) -> Result<Limits, LifecycleError> {
        let limits = asked.or(defaults).check()?;
        if let Some((name, asked, most)) = limits.above(self.settings.most) {
            return Err(LifecycleError::LimitRefused { name, asked, most });
        }
        match tokio::time::timeout(ANSWER_LIMIT, self.parts.runtime.capacity()).await {
            Ok(Ok(capacity)) => {
                let limits = asked.or(capacity.lower(defaults));
                capacity.check(limits)?;
                Ok(limits)
            }
            Ok(Err(error)) => {
                let cause = armor_core::error::chain(&error);
                tracing::debug!(cause, "what the engine has is not known yet");
                Ok(limits)
            }
            Err(_) => Ok(limits),
        }
    }

    /// The limits that are in force in the sandbox of a task with these: of what its machine has less now
    /// than when the task was created, all there is.
    ///
    /// # Errors
    /// When the runtime does not say what it has.
    pub(crate) async fn limits_in_force(&self, limits: Limits) -> Result<Limits, LifecycleError> {
        Ok(self.parts.runtime.capacity().await?.lower(limits))
    }
}
