//! What the runner orders the supervisor of an execution to do, in frames of the same form as on the
//! socket. That the line ends is the last order: to kill all that came of the command.
//!
//! The supervisor sends signals, not the runner: it is the one that waits for the command, and so
//! knows that its number is nobody else's yet.

use std::io;
use std::os::unix::net::UnixStream;

use armor_runner_protocol::{Decoder, Signal, receive};
use rustix::process::{Pid, Signal as Number, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// What is to be done with the command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// It is to be sent this.
    Signal(Signal),
}

/// Takes the orders that have come; none when the line has ended, or what came is no order.
pub(crate) fn take(line: &UnixStream, decoder: &mut Decoder) -> Option<Vec<Order>> {
    let mut buffer = [0; 512];
    match receive(line, &mut buffer, &mut Vec::new()) {
        Ok(0) => return None,
        Ok(came) => decoder.push(&buffer[..came]),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(_) => return None,
    }
    let mut orders = Vec::new();
    loop {
        match decoder.message() {
            Ok(Some(order)) => orders.push(order),
            Ok(None) => return Some(orders),
            Err(_) => return None,
        }
    }
}

/// Sends a signal to a command that has not been waited for: to its group, or where it has none of
/// its own to itself.
pub(crate) fn send(signal: Signal, command: Pid, has_group: bool) {
    let number = match signal {
        Signal::Hup => Number::HUP,
        Signal::Int => Number::INT,
        Signal::Quit => Number::QUIT,
        Signal::Usr1 => Number::USR1,
        Signal::Usr2 => Number::USR2,
        Signal::Term => Number::TERM,
        Signal::Stop => Number::STOP,
        Signal::Cont => Number::CONT,
    };
    // It may have left its group, in which nobody is left then.
    if !has_group || kill_process_group(command, number).is_err() {
        // Its parent has not waited for it: it is there, if only as what is left of it.
        let _sent = kill_process(command, number);
    }
}
