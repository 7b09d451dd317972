//! Whatever path is given, nothing outside the root is opened (R6).

#![no_main]

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::sync::OnceLock;

use armor_core::path::{RelativePath, Root};
use cap_std::fs::OpenOptions;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// A root with links that lead about in it and out of it, and a secret beside it.
fn root() -> &'static Root {
    static PLACE: OnceLock<(TempDir, Root)> = OnceLock::new();
    let (_, root) = PLACE.get_or_init(|| {
        let place = TempDir::new().expect("a temporary folder");
        let inside = place.path().join("root");
        fs::create_dir_all(inside.join("a/b")).expect("folders");
        fs::write(place.path().join("secret"), "secret").expect("a file");
        fs::write(inside.join("a/file"), "inside").expect("a file");
        for (target, link) in [("..", "up"), ("../..", "a/up"), ("a", "in"), ("/", "top"), ("up", "a/b/x")] {
            symlink(target, inside.join(link)).expect("a link");
        }
        let root = Root::open(&inside).expect("the root");
        (place, root)
    });
    root
}

fuzz_target!(|path: &str| {
    if let Ok(mut file) = root().open_file(path, OpenOptions::new().read(true)) {
        let mut text = Vec::new();
        // A folder opens too, and cannot be read.
        if file.read_to_end(&mut text).is_ok() {
            assert_ne!(text, b"secret", "{path:?} leads out");
        }
    }
    if let Ok(parsed) = path.parse::<RelativePath>() {
        assert_eq!(parsed.as_str().parse::<RelativePath>().as_ref(), Ok(&parsed));
        assert!(!parsed.as_path().is_absolute() && !parsed.as_str().split('/').any(|part| part == ".."));
    }
});
