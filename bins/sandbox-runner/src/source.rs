//! What the runner waits for, as a number that the kernel keeps with it.

/// What something is waited for on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Listener,
    Signals,
    Connection(u64),
    Supervisor(u64),
    Stream(u64, usize),
}

impl Source {
    /// As the kernel keeps it for us: the kind in the lowest bits.
    pub(crate) const fn token(self) -> u64 {
        match self {
            Self::Listener => 0,
            Self::Signals => 1,
            Self::Connection(id) => id << 3 | 2,
            Self::Supervisor(id) => id << 3 | 3,
            Self::Stream(id, stream) => id << 3 | if stream == 0 { 4 } else { 5 },
        }
    }

    /// What a token stands for; none for one that is not ours.
    pub(crate) const fn of(token: u64) -> Option<Self> {
        let id = token >> 3;
        match token & 7 {
            0 => Some(Self::Listener),
            1 => Some(Self::Signals),
            2 => Some(Self::Connection(id)),
            3 => Some(Self::Supervisor(id)),
            4 => Some(Self::Stream(id, 0)),
            5 => Some(Self::Stream(id, 1)),
            _ => None,
        }
    }
}
