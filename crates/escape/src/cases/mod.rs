//! The cases, by what they get at.

mod disk;
mod egress;
mod files;
mod host;
mod internal;
mod kernel;
mod network;
mod open;
mod processes;
mod resources;

use crate::Case;

/// Every case there is.
pub fn all() -> Vec<Case> {
    [
        kernel::CASES,
        files::CASES,
        processes::CASES,
        resources::CASES,
        network::CASES,
        egress::CASES,
        internal::CASES,
        open::CASES,
        disk::CASES,
        host::CASES,
    ]
    .concat()
}
