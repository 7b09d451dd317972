//! What did not change costs nothing, and what two have is kept once.

use std::fs;
use std::time::Duration;

use crate::support::Place;

/// Waits until the files' changes are so long ago that a later one would show.
fn settle(place: &Place) {
    let began = std::time::Instant::now();
    // A new file's time says when the file system's clock has gone on.
    let probe = place.path("probe");
    while began.elapsed() < Duration::from_millis(60) {
        fs::write(&probe, "x").unwrap();
    }
}

#[test]
fn a_file_that_did_not_change_is_not_read_again() {
    let place = Place::new();
    for number in 0..50 {
        fs::write(place.tree().join(format!("{number}")), format!("text {number}")).unwrap();
    }
    settle(&place);
    assert_eq!(place.take().stats().files_read, 50);
    let second = place.take().stats();
    assert_eq!((second.files, second.files_read, second.bytes_added), (50, 0, 0));
    fs::write(place.tree().join("7"), "text X").unwrap();
    fs::remove_file(place.tree().join("8")).unwrap();
    let third = place.take();
    assert_eq!((third.stats().files, third.stats().files_read), (49, 1));
    assert_eq!(fs::read_to_string(place.restore(&third).join("7")).unwrap(), "text X");
}

// A change within the same tick of the file system's clock, of the same length, shows in nothing but the
// content.
#[test]
fn a_file_that_changed_a_moment_ago_is_read_again() {
    let place = Place::new();
    for number in 0..20 {
        let text = format!("text {number:>4}");
        fs::write(place.tree().join("file"), &text).unwrap();
        let manifest = place.take();
        assert_eq!(fs::read_to_string(place.restore(&manifest).join("file")).unwrap(), text);
    }
}

#[test]
fn content_is_kept_once_and_a_change_within_a_large_file_adds_little() {
    let place = Place::new();
    let mut state = 1_u64;
    let mut large: Vec<u8> = (0..8_000_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_le_bytes()[7]
        })
        .collect();
    fs::write(place.tree().join("one"), &large).unwrap();
    fs::write(place.tree().join("two"), &large).unwrap();
    let first = place.take().stats();
    assert_eq!(first.bytes, 16_000_000);
    assert!(first.bytes_added < 8_100_000, "{}", first.bytes_added);
    large.splice(4_000_000..4_000_000, *b"something put in");
    fs::write(place.tree().join("two"), &large).unwrap();
    let second = place.take();
    assert!(second.stats().bytes_added < 4_500_000, "{}", second.stats().bytes_added);
    assert!(fs::read(place.restore(&second).join("two")).unwrap() == large);
}

#[test]
fn several_at_once_do_not_harm_each_other() {
    let place = Place::new();
    for number in 0..200 {
        fs::write(place.tree().join(format!("{number}")), format!("text {number}")).unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    place.take();
                }
            });
        }
    });
    let verified = place.store.verify(Some(&Place::task())).unwrap();
    assert_eq!((verified.whole.len(), verified.findings.len()), (20, 0));
}
