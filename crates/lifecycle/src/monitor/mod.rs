//! The resource monitor: looks what sandboxes take of their shares, warns, and acts (R45).

mod disk;
mod judge;
mod watch;
