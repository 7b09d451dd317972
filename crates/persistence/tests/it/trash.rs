//! Discarding a task's folder, whatever an agent put there (R26).

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use armor_core::id::TaskId;
use armor_persistence::TaskFolders;

/// Folders in folders, deeper than any path may be long.
fn dig(top: &Path, depth: usize) {
    let mut here = rustix::fs::open(top, rustix::fs::OFlags::DIRECTORY, 0o700.into()).unwrap();
    let name = CString::new("deep-deep-deep").unwrap();
    for _ in 0..depth {
        rustix::fs::mkdirat(&here, name.as_c_str(), 0o700.into()).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY;
        here = rustix::fs::openat(&here, name.as_c_str(), flags, 0o700.into()).unwrap();
    }
}

#[tokio::test]
async fn any_tree_is_removed_and_nothing_that_it_points_to() {
    let home = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "kept").unwrap();
    let folders = TaskFolders::open(home.path()).unwrap();
    let task = TaskId::parse("t1").unwrap();
    let folder = folders.of(&task);
    folder.create().unwrap();
    // Left by a process of our number that was killed at it.
    let left = format!("trash/.{}-1/left", std::process::id());
    fs::create_dir_all(home.path().join(left)).unwrap();
    let workspace = folder.workspace();
    fs::create_dir_all(workspace.join("locked/inner")).unwrap();
    fs::write(workspace.join("locked/inner/file"), "12345").unwrap();
    dig(&workspace, 5000);
    symlink(outside.path(), workspace.join("link")).unwrap();
    symlink(outside.path(), workspace.join("locked/inner/link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        workspace.join("fifo"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    for path in ["locked/inner", "locked"] {
        fs::set_permissions(workspace.join(path), fs::Permissions::from_mode(0o000)).unwrap();
    }

    let lock = folders.lock(&task).await.unwrap();
    folders.discard(&task, lock).unwrap();
    assert!(!folder.exists());
    let freed = folders.empty_trash().await.unwrap();
    assert_eq!((freed.files, freed.bytes >= 5), (4, true), "{freed:?}");
    assert_eq!(fs::read_dir(home.path().join("trash")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(outside.path().join("precious")).unwrap(), "kept");
    // Again, with nothing there.
    let lock = folders.lock(&task).await.unwrap();
    folders.discard(&task, lock).unwrap();
    assert_eq!(folders.empty_trash().await.unwrap().files, 0);
}

#[tokio::test]
async fn a_folder_is_discarded_although_an_earlier_one_of_its_name_is_still_in_the_trash() {
    let home = tempfile::tempdir().unwrap();
    let folders = TaskFolders::open(home.path()).unwrap();
    let task = TaskId::parse("t1").unwrap();
    for _ in 0..3 {
        folders.of(&task).create().unwrap();
        let lock = folders.lock(&task).await.unwrap();
        folders.discard(&task, lock).unwrap();
        assert!(!folders.of(&task).exists());
    }
    folders.empty_trash().await.unwrap();
    assert_eq!(fs::read_dir(home.path().join("trash")).unwrap().count(), 0);
}
