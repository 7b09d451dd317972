//! Numbers for what outlives a program: the same in every version of it.

use sha2::{Digest, Sha256};

/// A number that stands for a text.
pub(crate) fn digest(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_same_number_for_ever() {
        // As `printf abc | sha256sum` begins.
        assert_eq!(digest("abc"), 0xba78_16bf_8f01_cfea);
    }
}
