//! The cases, by what they get at.

mod egress;
mod files;
mod kernel;
mod network;
mod processes;
mod resources;

use crate::Case;

/// Every case there is.
pub fn all() -> Vec<Case> {
    [kernel::CASES, files::CASES, processes::CASES, resources::CASES, network::CASES, egress::CASES]
        .concat()
}
