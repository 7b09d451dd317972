//! The way out of a sandbox: a socket of the loopback inside, which its runner passes on.

use std::net::TcpListener;

use armor_core::id::SandboxId;
use armor_core::sandbox::{Egress, RuntimeError};
use armor_runner::{Answer, Request};

use super::Inside;
use crate::exec::engine_broke;

const ACTION: &str = "find the way out of the sandbox";

impl Inside {
    /// What programs connect to that want to get out; none when the sandbox has no runner.
    pub(crate) async fn egress(&self, sandbox: &SandboxId) -> Result<Option<Egress>, RuntimeError> {
        let Some(mut connection) = self.connect(sandbox).await? else { return Ok(None) };
        match self.ask(&mut connection, &Request::Egress, ACTION).await? {
            Answer::Egress => {}
            answer => return Err(engine_broke(ACTION, &format!("it has none: {answer:?}"))),
        }
        let listener = connection.descriptor().map(TcpListener::from);
        let listener = listener.ok_or_else(|| engine_broke(ACTION, "none came along"))?;
        let gone = Box::pin(async move {
            // It says nothing more, and hangs up when it ends.
            while connection.answer().await.is_ok() {}
        });
        Ok(Some(Egress { listener, gone }))
    }
}
