//! Damage is found and named, and what is not damaged comes back.

use std::fs;
use std::path::PathBuf;

use armor_checkpoint_store::{Finding, StoreError};

use crate::support::{Place, describe};

fn packs(place: &Place) -> Vec<PathBuf> {
    let folder = place.path("home/checkpoints/packs");
    let mut packs: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    packs.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    packs
}

fn flip(file: &PathBuf, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Two checkpoints that share nothing but a pack each.
fn two(place: &Place) -> [armor_checkpoint_store::Manifest; 2] {
    fs::write(place.tree().join("one"), "one").unwrap();
    let first = place.take();
    fs::remove_file(place.tree().join("one")).unwrap();
    fs::write(place.tree().join("two"), "two").unwrap();
    [first, place.take()]
}

// R23: each bit of a pack counts.
#[test]
fn a_bit_that_flips_in_a_pack_is_found_wherever_it_is() {
    let place = Place::new();
    let [first, second] = two(&place);
    let pack = packs(&place).remove(0);
    let whole = fs::read(&pack).unwrap();
    for at in 13..whole.len() {
        flip(&pack, at);
        let verified = place.store.verify(None).unwrap();
        assert_eq!(verified.whole, std::slice::from_ref(&second.id), "bit {at}");
        assert!(!verified.findings.is_empty());
        let error = place.store.restore(&first, "workspace", &place.path("new")).unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        assert!(!place.path("new").exists());
        fs::write(&pack, &whole).unwrap();
    }
    assert_eq!(place.store.verify(None).unwrap().whole.len(), 2);
    place.restore(&first);
}

#[test]
fn a_damaged_manifest_is_named_and_the_others_are_there() {
    let place = Place::new();
    let [first, second] = two(&place);
    let manifest = place.path("home/checkpoints/manifests/a-task/number-0.json");
    let whole = fs::read(&manifest).unwrap();
    for at in (0..whole.len()).step_by(7) {
        flip(&manifest, at);
        assert_eq!(
            place.store.list(&Place::task()).unwrap(),
            std::slice::from_ref(&second),
            "bit {at}"
        );
        let error = place.store.get(&Place::task(), &first.id).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        let findings = place.store.verify(None).unwrap().findings;
        assert!(matches!(findings[..], [Finding::File(StoreError::Damaged { .. })]));
        fs::write(&manifest, &whole).unwrap();
    }
    assert_eq!(place.store.list(&Place::task()).unwrap(), [first, second]);
}

#[test]
fn the_index_is_made_anew_from_the_packs() {
    let place = Place::new();
    let mut taken = Vec::new();
    for number in 0..40 {
        fs::write(place.tree().join("file"), format!("text {number}")).unwrap();
        taken.push((place.take(), describe(&place.tree())));
    }
    let index = place.path("home/checkpoints/index");
    let length = fs::read(&index).expect("it is kept once there are many packs").len();
    for damage in [0, length / 2, length - 1] {
        flip(&index, damage);
        assert_eq!(place.store.verify(None).unwrap().whole.len(), 40);
    }
    fs::remove_file(&index).unwrap();
    for (manifest, before) in &taken {
        assert_eq!(&describe(&place.restore(manifest)), before);
    }
}

#[test]
fn what_a_kill_left_is_no_checkpoint_and_no_harm() {
    let place = Place::new();
    let [first, second] = two(&place);
    let store = place.path("home/checkpoints");
    for left in ["packs/.new-abc", "manifests/a-task/.new-abc", "caches/.new-abc", ".new-abc"] {
        fs::write(store.join(left), "half").unwrap();
    }
    assert_eq!(place.store.list(&Place::task()).unwrap(), [first, second]);
    let verified = place.store.verify(None).unwrap();
    assert_eq!((verified.whole.len(), verified.findings.len()), (2, 0));
    place.take();
}
