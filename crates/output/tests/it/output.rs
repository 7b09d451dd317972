//! The output of executions: kept, cut, and read back in order.

use std::path::Path;

use armor_output::{OutputFiles, OutputWriter, StreamKind, Tail, excerpt, replay, stream_file};
use proptest::prelude::*;

fn writer(folder: &Path, keep: u64) -> OutputWriter {
    OutputWriter::new(OutputFiles::create(folder).unwrap(), keep)
}

fn replayed(folder: &Path) -> Vec<(StreamKind, Vec<u8>)> {
    let mut pieces: Vec<(StreamKind, Vec<u8>)> = Vec::new();
    replay(folder, &mut |stream, bytes| {
        match pieces.last_mut() {
            Some((last, text)) if *last == stream => text.extend_from_slice(bytes),
            _ => pieces.push((stream, bytes.to_vec())),
        }
        Ok(())
    })
    .unwrap();
    pieces
}

proptest! {
    // R52: stdout and stderr apart and in order; the whole of it kept on disk.
    #[test]
    fn output_is_read_back_in_the_order_in_which_it_came(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..50)), 0..30),
    ) {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("e1");
        let mut writer = writer(&folder, 1 << 20);
        let mut expected: Vec<(StreamKind, Vec<u8>)> = Vec::new();
        for (is_stdout, bytes) in pieces {
            let stream = if is_stdout { StreamKind::Stdout } else { StreamKind::Stderr };
            writer.write(stream, &bytes).unwrap();
            match expected.last_mut() {
                Some((last, text)) if *last == stream => text.extend(bytes),
                _ => expected.push((stream, bytes)),
            }
        }
        let written = writer.finish().unwrap();
        let total = |kind| expected.iter().filter(|(stream, _)| *stream == kind).map(|(_, b)| b.len() as u64).sum::<u64>();
        prop_assert_eq!(written.stdout, total(StreamKind::Stdout));
        prop_assert_eq!(written.stderr, total(StreamKind::Stderr));
        prop_assert_eq!(replayed(&folder), expected);
    }

    // R52: what goes back is at most the limit and a note, begins and ends as the stream does.
    #[test]
    fn an_excerpt_keeps_both_ends_and_says_what_is_missing(
        text in "([a-zäöü€\u{1F600} ]{0,20}\n?){0,60}", limit in 0_u64..400,
    ) {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("stdout");
        std::fs::write(&file, &text).unwrap();
        let cut = excerpt(&file, limit, "/there").unwrap();
        if text.len() as u64 <= limit {
            prop_assert_eq!((cut.text, cut.truncated), (text, false));
        } else {
            prop_assert!(cut.truncated);
            prop_assert!(!cut.text.contains('\u{FFFD}'), "cut within a character: {:?}", cut.text);
            let (head, rest) = cut.text.split_once("\n[… ").unwrap();
            let (note, tail) = rest.split_once(" …]\n").unwrap();
            prop_assert!(text.starts_with(head) && text.ends_with(tail));
            prop_assert!(head.len() + tail.len() <= usize::try_from(limit).unwrap());
            prop_assert!(note.contains("/there"), "{}", note);
        }
    }
}

#[test]
fn what_is_followed_comes_in_its_order_and_what_has_none_yet_by_turns() {
    let home = tempfile::tempdir().unwrap();
    let mut tail = Tail::new(home.path().join("e1"));
    assert_eq!(tail.piece().unwrap(), None);
    let mut writer = writer(&home.path().join("e1"), 1 << 20);
    let mut wrote: Vec<(StreamKind, Vec<u8>)> = Vec::new();
    for number in 0..1000 {
        let stream = if number % 3 == 0 { StreamKind::Stderr } else { StreamKind::Stdout };
        let line = format!("line {number}\n").into_bytes();
        writer.write(stream, &line).unwrap();
        match wrote.last_mut() {
            Some((last, text)) if *last == stream => text.extend(line),
            _ => wrote.push((stream, line)),
        }
    }
    writer.flush().unwrap();
    for piece in wrote {
        assert_eq!(tail.piece().unwrap(), Some(piece));
    }
    assert_eq!(tail.piece().unwrap(), None);

    // Nobody has noted yet in which order these came.
    writer.write(StreamKind::Stdout, &vec![b'o'; 200_000]).unwrap();
    writer.write(StreamKind::Stderr, &[b'e'; 10]).unwrap();
    let next = |tail: &mut Tail| tail.piece().unwrap().map(|(stream, bytes)| (stream, bytes.len()));
    assert_eq!(next(&mut tail), Some((StreamKind::Stdout, 65_536)));
    assert_eq!(next(&mut tail), Some((StreamKind::Stderr, 10)));
    assert_eq!(next(&mut tail), Some((StreamKind::Stdout, 65_536)));
    // What was given is not given again.
    writer.write(StreamKind::Stderr, &[b'e'; 20]).unwrap();
    writer.write(StreamKind::Stdout, &[b'o'; 1]).unwrap();
    writer.finish().unwrap();
    assert_eq!(next(&mut tail), Some((StreamKind::Stdout, 65_536)));
    assert_eq!(next(&mut tail), Some((StreamKind::Stdout, 3392)));
    assert_eq!(next(&mut tail), Some((StreamKind::Stderr, 20)));
    assert_eq!(next(&mut tail), Some((StreamKind::Stdout, 1)));
    assert_eq!(tail.piece().unwrap(), None);
}

#[test]
fn of_a_stream_beyond_the_limit_the_beginning_and_the_end_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = writer(home.path(), 1000);
    for number in 0..100_000 {
        writer.write(StreamKind::Stdout, format!("line {number}\n").as_bytes()).unwrap();
    }
    let written = writer.finish().unwrap();
    assert_eq!(
        written.stdout,
        (0..100_000).map(|n| format!("line {n}\n").len() as u64).sum::<u64>()
    );
    let kept = std::fs::read_to_string(stream_file(home.path(), StreamKind::Stdout)).unwrap();
    assert!(kept.starts_with("line 0\nline 1\n"), "{}", &kept[..100]);
    assert!(kept.ends_with("line 99998\nline 99999\n"));
    assert!(kept.len() < 200_000, "{}", kept.len());
    assert!(kept.contains("bytes are missing here"));
}

#[test]
fn a_stream_just_at_the_limit_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = writer(home.path(), 10);
    writer.write(StreamKind::Stderr, b"0123456789").unwrap();
    writer.write(StreamKind::Stderr, b"abc").unwrap();
    writer.finish().unwrap();
    let kept = std::fs::read_to_string(stream_file(home.path(), StreamKind::Stderr)).unwrap();
    assert_eq!(kept, "0123456789abc");
}
