//! Whatever a peer sends, it becomes a message or an error, and what is sent comes back the same.

#![no_main]

use armor_runner_protocol::{Answer, Decoder, Hello, Request, encode};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    messages::<Request>(bytes, usize::from(*cut));
    messages::<Answer>(bytes, usize::from(*cut));
    messages::<Hello>(bytes, usize::from(*cut));
});

/// Decodes the bytes in pieces of this length.
fn messages<M: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8], cut: usize) {
    let mut decoder = Decoder::default();
    for piece in bytes.chunks(cut.max(1)) {
        decoder.push(piece);
        loop {
            match decoder.message::<M>() {
                Ok(None) => break,
                Ok(Some(message)) => {
                    let mut again = Decoder::default();
                    again.push(&encode(&message).expect("what was decoded is short enough"));
                    assert_eq!(again.message::<M>().expect("it is well formed"), Some(message));
                }
                Err(_) => return,
            }
        }
    }
}
