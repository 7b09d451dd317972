//! Signals to commands, through the runner in a sandbox.

use armor_core::id::{ExecutionId, SandboxId};
use armor_core::sandbox::{RuntimeError, Signal};
use armor_runner::{Answer, Request, Signal as Sent};

use super::Inside;
use crate::exec::engine_broke;

const ACTION: &str = "send a signal";

impl Inside {
    /// Sends a signal to a command. False when that does not run; none when the sandbox has no runner.
    pub(crate) async fn signal(
        &self,
        sandbox: &SandboxId,
        execution: &ExecutionId,
        signal: Signal,
    ) -> Result<Option<bool>, RuntimeError> {
        let Some(mut connection) = self.connect(sandbox).await? else { return Ok(None) };
        let request = Request::Signal { execution: execution.to_string(), signal: sent(signal) };
        match self.ask(&mut connection, &request, ACTION).await? {
            Answer::Signalled => Ok(Some(true)),
            Answer::Unknown => Ok(Some(false)),
            Answer::Refused { reason } => Err(engine_broke(ACTION, &reason)),
            answer => Err(engine_broke(ACTION, &format!("its program answered {answer:?}"))),
        }
    }
}

const fn sent(signal: Signal) -> Sent {
    match signal {
        Signal::Hup => Sent::Hup,
        Signal::Int => Sent::Int,
        Signal::Quit => Sent::Quit,
        Signal::Usr1 => Sent::Usr1,
        Signal::Usr2 => Sent::Usr2,
        Signal::Term => Sent::Term,
        Signal::Stop => Sent::Stop,
        Signal::Cont => Sent::Cont,
    }
}
