//! Layer 2 (R21): the audit log, one event a line, in `logs/audit.jsonl` and the archives beside it.
//!
//! A line is `{"event": …, "prev": …, "sha256": …}`: `sha256` is the hash of the line before,
//! followed by the event's own text, and `prev` repeats the hash before. So a line that is changed,
//! removed or put in is found by reading the files alone, which [`verify`] does. [`load`] reads what
//! can be read and says what cannot.
//!
//! A file that has grown past a limit becomes an archive, `audit.<first>-<last>.jsonl.zst`, named
//! after the places of its events among those of the task. The chain goes on from file to file. A
//! torn end, and any damage that shows when something is appended, is mended by [`AuditTrail`], which
//! writes anew from the event table what is not as the table says.

mod files;
mod line;
mod load;
mod table;
mod trail;
mod verify;

pub use load::{AuditFilter, Entry, Finding, Loaded, events, load};
pub use trail::AuditTrail;
pub use verify::{Verified, verify, verify_each};
