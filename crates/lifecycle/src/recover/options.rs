//! What can be done about a damaged task, as a pure function of its layers.

use armor_core::recovery::RecoverySource;

use super::{Layers, Loss, RecoveryOption};

/// The options, the best first.
pub(super) fn of(layers: &Layers) -> Vec<RecoveryOption> {
    let lost_checkpoints = layers.without_files.iter().cloned().map(Loss::Checkpoint);
    if layers.row.is_some() {
        let loses = lost_checkpoints.collect();
        return vec![RecoveryOption { from: RecoverySource::Database, loses }];
    }
    let history = match (layers.is_log_whole, layers.events.len()) {
        (true, _) => None,
        (false, 0) => Some(Loss::History),
        (false, events) => Some(Loss::HistoryBehind(events as u64)),
    };
    let mut options = Vec::new();
    if layers.state.is_some() {
        let from = match layers.events.len() {
            0 => RecoverySource::State,
            _ => RecoverySource::StateAndAudit,
        };
        options.push(RecoveryOption { from, loses: history.clone().into_iter().collect() });
    }
    let last = layers.events.last().map(|event| event.at);
    let audit = last.map(|last| {
        let since = (!layers.is_log_whole).then_some(Loss::StateSince(last));
        let loses = [Loss::Metadata].into_iter().chain(since).chain(history.clone()).collect();
        RecoveryOption { from: RecoverySource::Audit, loses }
    });
    let newest = layers.newest.as_ref().filter(|newest| !newest.state.is_null());
    let checkpoint = newest.map(|newest| {
        let since = Loss::StateSince(newest.created_at);
        let loses = [since].into_iter().chain(history).collect();
        RecoveryOption { from: RecoverySource::Checkpoint, loses }
    });
    // A log that ends before the checkpoint was taken says less.
    let is_older = layers
        .newest
        .as_ref()
        .zip(last)
        .is_some_and(|(newest, last)| !layers.is_log_whole && last < newest.created_at);
    if is_older {
        options.extend(checkpoint.into_iter().chain(audit));
    } else {
        options.extend(audit.into_iter().chain(checkpoint));
    }
    options
}
