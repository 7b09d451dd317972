//! Signals that commands can be sent.

use std::fmt;
use std::str::FromStr;

use crate::error::{Code, Diagnostic};

/// A signal for a command. None of them ends one for sure: that is
/// [`Runtime::kill`](crate::sandbox::Runtime::kill).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Its terminal or its master is gone; many programs read their settings again.
    Hup,
    /// As `Ctrl-C`.
    Int,
    /// As `Ctrl-\`; many programs say what they are at.
    Quit,
    /// What the program makes of it.
    Usr1,
    /// What the program makes of it.
    Usr2,
    /// It is to end.
    Term,
    /// It stands still. Its time limit does not.
    Stop,
    /// It goes on.
    Cont,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Hup,
        Self::Int,
        Self::Quit,
        Self::Usr1,
        Self::Usr2,
        Self::Term,
        Self::Stop,
        Self::Cont,
    ];

    /// Its name, as `kill` takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Term => "TERM",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no signal for commands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no signal that a command can be sent", .0.escape_debug())]
pub struct UnknownSignal(String);

impl Diagnostic for UnknownSignal {
    fn code(&self) -> Code {
        Code::ArgumentInvalid
    }

    fn next_step(&self) -> Option<String> {
        let names = Signal::ALL.map(Signal::as_str).join(", ");
        Some(format!("Use one of {names}; without a signal, it is killed with all its processes."))
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// With or without `SIG`, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let mut all = Self::ALL.into_iter();
        let named = all.find(|signal| signal.as_str() == name);
        named.ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_found_by_its_name_with_or_without_sig() {
        for signal in Signal::ALL {
            let name = signal.to_string();
            assert_eq!(name.parse::<Signal>(), Ok(signal));
            assert_eq!(format!("sig{}", name.to_lowercase()).parse::<Signal>(), Ok(signal));
        }
        for none in ["", "SIG", "KILL", "9", "SIGSIGINT", "int "] {
            assert!(none.parse::<Signal>().is_err(), "{none:?}");
        }
    }
}
