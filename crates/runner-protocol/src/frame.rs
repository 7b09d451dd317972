//! Frames: the length of a message as four bytes, the lowest first, then the message as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message, in bytes. A command line with its environment is at most 2 MiB on Linux.
pub const LARGEST_FRAME: usize = 4 << 20;
/// Bytes of the length before a message.
const HEAD: usize = 4;

/// Why bytes are no frame, or a message cannot become one.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is longer than [`LARGEST_FRAME`].
    #[error("a message of {bytes} bytes is longer than {LARGEST_FRAME}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It is not what was expected, or not even JSON.
    #[error("a message that is not understood")]
    Malformed(#[from] serde_json::Error),
}

/// A message as a frame.
///
/// # Errors
/// When it is too long.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; HEAD];
    serde_json::to_writer(&mut frame, message)?;
    let bytes = frame.len() - HEAD;
    match u32::try_from(bytes) {
        Ok(length) if bytes <= LARGEST_FRAME => {
            frame[..HEAD].copy_from_slice(&length.to_le_bytes());
            Ok(frame)
        }
        _ => Err(FrameError::TooLong { bytes }),
    }
}

/// Makes messages of bytes that come in any pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, if the whole of it is there.
    ///
    /// # Errors
    /// When it is too long or not understood. What follows cannot be trusted then.
    pub fn message<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let bytes = usize::try_from(u32::from_le_bytes(*head)).unwrap_or(usize::MAX);
        if bytes > LARGEST_FRAME {
            return Err(FrameError::TooLong { bytes });
        }
        let Some(message) = rest.get(..bytes) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(message)?;
        self.buffer.drain(..HEAD + bytes);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Answer, Request};

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_the_bytes_are_cut(
            names in prop::collection::vec(".{0,40}", 0..10), cuts in prop::collection::vec(1..64_usize, 1..50),
        ) {
            let requests: Vec<_> =
                names.into_iter().map(|execution| Request::Kill { execution }).collect();
            let bytes: Vec<u8> =
                requests.iter().flat_map(|request| encode(request).unwrap()).collect();
            let (mut decoder, mut found, mut rest) = (Decoder::default(), Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.push(now);
                while let Some(request) = decoder.message::<Request>().unwrap() {
                    found.push(request);
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, requests);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.message::<Answer>() {}
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_the_bytes_come() {
        let mut decoder = Decoder::default();
        decoder.push(&u32::MAX.to_le_bytes());
        assert!(matches!(decoder.message::<Request>(), Err(FrameError::TooLong { .. })));
        let long = Request::Kill { execution: "x".repeat(LARGEST_FRAME) };
        assert!(matches!(encode(&long), Err(FrameError::TooLong { .. })));
    }
}
