//! Where a page of a list ends, as an opaque text.
//!
//! A cursor goes with the list that it came from: it carries a digest of the list's filters and
//! order, so that one given to another list is an error and not a page of the wrong tasks.

use std::fmt;
use std::str::FromStr;

use crate::RegistryError;

/// The place behind the last entry of a page. Only its text leaves the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// When the last entry was made, in microseconds.
    pub(crate) created_at: i64,
    /// Its number, which tells entries of one moment apart.
    pub(crate) number: i64,
    /// Of the filters and the order.
    pub(crate) list: u32,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (created_at, number) = (self.created_at.cast_unsigned(), self.number.cast_unsigned());
        write!(f, "{created_at:x}.{number:x}.{:x}", self.list)
    }
}

impl FromStr for Cursor {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let parse = || {
            let mut parts = text.split('.');
            let mut next = || u64::from_str_radix(parts.next()?, 16).ok();
            let (created_at, number, list) =
                (next()?.cast_signed(), next()?.cast_signed(), next()?);
            let cursor = Self { created_at, number, list: u32::try_from(list).ok()? };
            // One text a cursor: `+1` and `01` are numbers too.
            (parts.next().is_none() && cursor.to_string() == text).then_some(cursor)
        };
        parse().ok_or_else(|| RegistryError::Cursor { cursor: text.to_owned() })
    }
}

/// A digest of texts that is the same in every process: 32 bits of FNV-1a.
/// <http://www.isthe.com/chongo/tech/comp/fnv/>
pub(crate) fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back_as_it_was(created_at in any::<i64>(), number in any::<i64>(), list in any::<u32>()) {
            let cursor = Cursor { created_at, number, list };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn any_other_text_is_refused(text in "\\PC{0,40}|[0-9a-f.+]{0,30}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
