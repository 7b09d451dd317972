//! Paths that stay under their root (R6): checked in form by [`RelativePath`], and resolved by
//! [`Root`] without following a link out, which the kernel guards (`openat2` with
//! `RESOLVE_BENEATH`, through cap-std) where it can.

mod relative;
mod root;

pub use relative::{InvalidPath, RelativePath};
pub use root::{PathError, Root};
