//! Layer 3 (R22): `decisions.md`, what was decided about a task, as Markdown.
//!
//! Each decision is an entry: a heading with its number, its time and who decided; what was decided,
//! why, and the alternatives, as quotations; and a comment that ends it, with the place of its event
//! among those of the task and the hash of the entry's text. So the file reads well as it is and
//! rendered, [`load`] reads it back as it was given, and a torn end or a changed text is found.

mod entry;
mod file;
mod quote;
mod record;

pub use file::load;
pub use record::DecisionRecord;
