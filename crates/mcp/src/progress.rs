//! Steps of something that takes long, as progress notifications to a client that asked for them.

use armor_core::sandbox::Progress;
use rmcp::RoleServer;
use rmcp::model::ProgressNotificationParam;
use rmcp::service::RequestContext;
use tokio::sync::mpsc;

/// Passes steps on in order, without holding up whoever makes them.
#[derive(Debug)]
pub(crate) struct Notifier {
    steps: Option<mpsc::UnboundedSender<String>>,
}

impl Notifier {
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> Self {
        let Some(token) = context.meta.get_progress_token() else {
            return Self { steps: None };
        };
        // Bounded by the steps of one build.
        let (steps, mut queue) = mpsc::unbounded_channel::<String>();
        let peer = context.peer.clone();
        tokio::spawn(async move {
            let mut count = 0.0;
            while let Some(step) = queue.recv().await {
                count += 1.0;
                let notification =
                    ProgressNotificationParam::new(token.clone(), count).with_message(step);
                if peer.notify_progress(notification).await.is_err() {
                    // The client is gone; the call goes on without telling it.
                    break;
                }
            }
        });
        Self { steps: Some(steps) }
    }
}

impl Progress for Notifier {
    fn step(&self, line: &str) {
        if let Some(steps) = &self.steps {
            // Nobody listens any more.
            let _sent = steps.send(line.to_owned());
        }
    }
}
