//! Another user of the machine: the home is none of theirs.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use armor::Armor;
use armor_testkit::Home;

const NOBODY: u32 = 65534;

fn as_nobody(program: &str, path: &Path) -> Output {
    Command::new(program).arg(path).uid(NOBODY).gid(NOBODY).current_dir("/").output().unwrap()
}

#[tokio::test]
async fn another_user_of_the_machine_finds_nothing_in_a_home() {
    let home = Home::new();
    let armor = Armor::builder(home.environment()).open().await.unwrap();
    let (place, database) = (home.path(), home.path().join("armor.db"));
    // The home alone keeps others out, and not the folder that the tests have it in.
    let above = place.parent().unwrap();
    fs::set_permissions(above, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::metadata(&place).unwrap().mode() & 0o077, 0);
    // Only root can try it as somebody else.
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        let listed = as_nobody("ls", above);
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.lines().any(|name| name == "home"), "nobody comes there at all: {listed}");
        for (program, path) in [("ls", &place), ("cat", &database)] {
            let tried = as_nobody(program, path);
            assert!(!tried.status.success() && tried.stdout.is_empty(), "{tried:?}");
        }
    }
    armor.close().await;
}
