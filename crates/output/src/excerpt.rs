//! A stream cut in the middle, for a caller who gets only so much.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A stream as it goes back to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether the middle is left out.
    pub truncated: bool,
}

/// Reads a stream for a caller who gets at most `limit` bytes: the whole of it, or its beginning
/// and its end with a line between them that says how much is left out and where it can be read.
///
/// # Errors
/// When the file cannot be read.
pub fn excerpt(file: &Path, limit: u64, where_to_read: &str) -> io::Result<Excerpt> {
    let mut source = File::open(file)?;
    let length = source.metadata()?.len();
    if length <= limit {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        return Ok(Excerpt { text, truncated: false });
    }
    let half = limit / 2;
    let mut head = Vec::new();
    (&source).take(half).read_to_end(&mut head)?;
    source.seek(SeekFrom::Start(length - half))?;
    let mut tail = Vec::new();
    source.take(half).read_to_end(&mut tail)?;

    let head = whole_lines_at_the_start(&head);
    let tail = whole_lines_at_the_end(&tail);
    let left_out = length - (head.len() + tail.len()) as u64;
    let text = format!(
        "{}\n[… {left_out} of {length} bytes left out here; the whole output is in {where_to_read} …]\n{}",
        String::from_utf8_lossy(head).trim_end_matches('\n'),
        String::from_utf8_lossy(tail),
    );
    Ok(Excerpt { text, truncated: true })
}

/// Drops a line that was cut, unless it is all there is; and never cuts within a character.
fn whole_lines_at_the_start(bytes: &[u8]) -> &[u8] {
    if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
        return &bytes[..=end];
    }
    let start_of_last = bytes.iter().rposition(|byte| byte & 0xC0 != 0x80).unwrap_or(0);
    let is_whole = std::str::from_utf8(&bytes[start_of_last..]).is_ok();
    if is_whole { bytes } else { &bytes[..start_of_last] }
}

/// The same at the other end.
fn whole_lines_at_the_end(bytes: &[u8]) -> &[u8] {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(start) if start + 1 < bytes.len() => &bytes[start + 1..],
        _ => {
            let start = bytes.iter().position(|byte| byte & 0xC0 != 0x80).unwrap_or(bytes.len());
            &bytes[start..]
        }
    }
}
