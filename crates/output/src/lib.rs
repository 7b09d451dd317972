//! What a command wrote, on disk.
//!
//! A folder has `stdout` and `stderr` as they were written, and `order.jsonl`, which says in what
//! order their pieces came. When a stream grows past the limit, its beginning and its end are kept,
//! with a line between them that says how much is missing.
//!
//! ```
//! use armor_output::{OutputFiles, OutputWriter, StreamKind, excerpt, stream_file};
//!
//! # fn main() -> std::io::Result<()> {
//! let folder = tempfile::tempdir()?;
//! let mut writer = OutputWriter::new(OutputFiles::create(folder.path())?, 1024);
//! writer.write(StreamKind::Stdout, b"hello\n")?;
//! assert_eq!(writer.finish()?.stdout, 6);
//! let stdout = stream_file(folder.path(), StreamKind::Stdout);
//! assert_eq!(excerpt(&stdout, 1024, "there")?.text, "hello\n");
//! # Ok(())
//! # }
//! ```

mod ahead;
mod excerpt;
mod replay;
mod stream;
mod tail;
mod writer;

pub use ahead::make_ahead;
pub use excerpt::{Excerpt, excerpt};
pub use replay::replay;
pub use stream::{OutputFiles, StreamKind, end_file, on_disk, stream_file};
pub use tail::Tail;
pub use writer::{OutputWriter, Written};
