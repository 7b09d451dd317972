//! Bundles: how an agent's commits travel, as data.
//!
//! Git's own `fetch` takes objects out of a bundle unchecked before git 2.46, so the pack in it is
//! given to `git index-pack --strict`, which checks every object and link in any version.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use crate::GitError;
use crate::error::io_error;

/// The longest header that is read, in bytes; one branch needs a few hundred.
const LONGEST_HEADER: u64 = 64 * 1024;

/// A bundle that holds one branch.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// The commit that the branch stands at.
    pub(crate) head: String,
    /// The file, at the beginning of the pack.
    pub(crate) pack: File,
}

/// Reads the header of a bundle (gitformat-bundle(5), versions 2 and 3) and finds the branch.
pub(crate) fn open(path: &Path, branch: &str) -> Result<Bundle, GitError> {
    let read = || -> io::Result<Option<Bundle>> {
        let mut file = File::open(path)?;
        let mut reader = BufReader::new(io::Read::take(&mut file, LONGEST_HEADER));
        let mut line = Vec::new();
        let mut length = 0;
        let mut head = None;
        let wanted = format!("refs/heads/{branch}");
        for number in 0.. {
            line.clear();
            length += reader.read_until(b'\n', &mut line)? as u64;
            let Some(text) = line.strip_suffix(b"\n") else { return Ok(None) };
            let text = String::from_utf8_lossy(text);
            match (number, text.as_ref()) {
                (0, "# v2 git bundle" | "# v3 git bundle") => {}
                (0, _) => return Ok(None),
                (_, "") => break,
                // Capabilities and what the bundle builds on; index-pack finds what is missing.
                (_, text) if text.starts_with(['@', '-']) => {}
                (_, text) => {
                    let (id, name) = text.split_once(' ').unwrap_or((text, ""));
                    if name == wanted && is_object_id(id) {
                        head = Some(id.to_owned());
                    }
                }
            }
        }
        file.seek(SeekFrom::Start(length))?;
        Ok(head.map(|head| Bundle { head, pack: file }))
    };
    read().map_err(io_error("read", path))?.ok_or_else(|| GitError::Failed {
        command: "bundle".to_owned(),
        message: format!("it is no bundle that holds the branch {branch}"),
    })
}

/// Whether a text is the whole id of an object: what an agent's git says is taken no further
/// otherwise.
pub fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
