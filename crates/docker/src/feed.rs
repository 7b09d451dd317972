//! Passing on to a command what it is to read, while it runs.

use armor_core::sandbox::InputSource;
use tokio::io::{AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// How much is on its way at one time.
const PIECE: usize = 64 * 1024;

/// Passes on what comes, until there is no more, or nobody reads it: that is the command's own business.
pub(crate) async fn pass_on(source: InputSource, mut to: impl AsyncWrite + Unpin) {
    let mut source = BufReader::with_capacity(PIECE, source);
    loop {
        let piece = match source.fill_buf().await {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(error) => {
                // To the command that is the end of it.
                tracing::warn!(%error, "what a command reads broke off");
                break;
            }
        };
        if to.write_all(piece).await.is_err() || to.flush().await.is_err() {
            return;
        }
        let passed = piece.len();
        source.consume(passed);
    }
    // Whoever reads no more does not miss it.
    let _closed = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_comes_is_passed_on_at_once_and_its_end_too() {
        let (mut typed, source) = duplex(8);
        let (to, mut read) = duplex(8);
        let passing = tokio::spawn(pass_on(Box::new(source), to));
        for word in [b"one", b"two"] {
            typed.write_all(word).await.unwrap();
            let mut came = [0; 3];
            read.read_exact(&mut came).await.unwrap();
            assert_eq!(&came, word);
        }
        drop(typed);
        assert_eq!(read.read(&mut [0; 1]).await.unwrap(), 0);
        passing.await.unwrap();
    }

    #[tokio::test]
    async fn nobody_is_waited_for_who_does_not_read() {
        let (to, read) = duplex(8);
        drop(read);
        pass_on(Box::new(tokio::io::repeat(0)), to).await;
    }
}
