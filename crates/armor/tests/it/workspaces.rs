//! Workspaces that are no working copy of a repository (R53): a copy of a folder, or the folder
//! itself.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use armor::task::{Task, WorkspaceMode};
use armor::{Armor, CreateTask, LifecycleError};
use armor_core::error::{Code, Diagnostic};
use armor_registry::TaskQuery;
use armor_testkit::{Home, require_engine};

use crate::support::{attach, events, open, run, sh};

/// A user that is neither root nor who commands are by default.
const SOMEBODY: u32 = 12_345;

async fn create(armor: &Armor, path: &Path, mode: WorkspaceMode) -> Result<Task, LifecycleError> {
    let mut request = CreateTask::named("a task".parse().unwrap());
    request.workspace = Some(path.to_owned());
    request.workspace_mode = mode;
    armor.lifecycle().create(request).await
}

fn folder(home: &Home) -> PathBuf {
    let folder = home.user().join("folder");
    fs::create_dir_all(folder.join("inner")).unwrap();
    fs::write(folder.join("file"), "of the user\n").unwrap();
    folder
}

/// Gives a folder to a user that is not root, where the tests may: nobody else runs in it.
fn give(folder: &Path) -> u32 {
    if rustix::process::geteuid().is_root() {
        for path in [folder.to_owned(), folder.join("inner"), folder.join("file")] {
            chown(path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
        }
        return SOMEBODY;
    }
    rustix::process::geteuid().as_raw()
}

#[tokio::test]
async fn engine_a_task_works_on_a_copy_of_a_folder_which_stays_as_it_is() {
    require_engine!();
    let home = Home::new().with("ARMOR_WORKSPACE_MODES", "copy");
    let folder = folder(&home);
    let program = folder.join("inner/program");
    fs::write(&program, "#!/bin/sh\necho runs\n").unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o4500)).unwrap();
    fs::set_permissions(folder.join("file"), Permissions::from_mode(0o400)).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let file = fs::File::options().read(true).open(folder.join("file")).unwrap();
    file.set_modified(then).unwrap();
    symlink("/etc/shadow", folder.join("link")).unwrap();
    symlink("nothing", folder.join("dangling")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());

    let armor = open(&home).await;
    let task = create(&armor, &folder, WorkspaceMode::Copy).await.unwrap();
    assert_eq!(task.repository, None);
    attach(&armor, &task).await.unwrap();
    assert_eq!(sh(&armor, &task, "cat file; inner/program").await, "of the user\nruns\n");
    let listed = sh(&armor, &task, "ls; readlink link; readlink dangling").await;
    assert_eq!(listed, "dangling\nfile\ninner\nlink\n/etc/shadow\nnothing\n");
    let copy = armor.lifecycle().folder(&task.id).workspace().join("file");
    assert_eq!(copy.metadata().unwrap().modified().unwrap(), then);
    assert_eq!(sh(&armor, &task, "find . -type f -perm -4000").await, "");

    sh(&armor, &task, "echo changed > file; rm -r inner").await;
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "of the user\n");
    assert!(program.exists());
    assert!(events(&armor, &task).await.contains(&"task:loosened"));
    // The copy is all that the task needs, and the only place of what was done in it.
    fs::rename(&folder, home.user().join("elsewhere")).unwrap();
    armor.lifecycle().runtime().remove(&task.id).await.unwrap();
    assert_eq!(sh(&armor, &task, "cat file").await, "changed\n");
    armor.lifecycle().cancel(task.id.as_str(), None).await.unwrap();
    let error = armor.lifecycle().delete(task.id.as_str(), false).await.unwrap_err();
    assert_eq!(error.code(), Code::TaskUnsavedWork);
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    assert!(home.user().join("elsewhere/inner/program").exists());
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}

#[tokio::test]
async fn engine_a_task_works_in_the_folder_itself_where_the_user_permits_it() {
    require_engine!();
    let home = Home::new().with("ARMOR_WORKSPACE_MODES", "bind");
    let folder = folder(&home);
    fs::create_dir(folder.join(".git")).unwrap();
    fs::write(folder.join(".git/config"), "[core]\n").unwrap();
    let owner = give(&folder);
    let armor = open(&home).await;
    let task = create(&armor, &folder, WorkspaceMode::Bind).await.unwrap();
    attach(&armor, &task).await.unwrap();

    assert_eq!(sh(&armor, &task, "id -u").await, format!("{owner}\n"));
    sh(&armor, &task, "echo more >> file; touch ~/kept").await;
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "of the user\nmore\n");
    assert_eq!(folder.join("file").metadata().unwrap().uid(), owner);
    let error = create(&armor, &folder.join(".git"), WorkspaceMode::Bind).await.unwrap_err();
    assert_eq!(error.code(), Code::WorkspaceRefused, "{error}");
    // What git on the host would run is not the task's to say.
    let report = run(&armor, &task, "cat .git/config; echo x >> .git/config; mv .git old").await;
    let report = report.unwrap();
    assert_eq!(report.stdout.text, "[core]\n");
    assert_eq!(fs::read_to_string(folder.join(".git/config")).unwrap(), "[core]\n");
    assert!(events(&armor, &task).await.contains(&"task:loosened"));

    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    assert!(folder.join("file").exists());
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}

// R51: what a task may not have is refused before anything is made.
#[tokio::test]
async fn folders_that_a_task_may_not_have_are_refused_and_nothing_is_left() {
    let home = Home::new();
    let folder = folder(&home);
    let armor = open(&home).await;
    for mode in [WorkspaceMode::Copy, WorkspaceMode::Bind] {
        let error = create(&armor, &folder, mode).await.unwrap_err();
        assert_eq!(error.code(), Code::WorkspaceRefused);
        assert!(error.next_step().unwrap().contains("workspace.modes"));
    }
    armor.close().await;
    let home = home.with("ARMOR_WORKSPACE_MODES", "copy").with("ARMOR_MONITOR_DISK_MIB", "1");
    let armor = open(&home).await;
    let refused = async |path: &Path, mode| create(&armor, path, mode).await.unwrap_err();
    let mut nothing = CreateTask::named("a task".parse().unwrap());
    nothing.workspace_mode = WorkspaceMode::Copy;
    let error = armor.lifecycle().create(nothing).await.unwrap_err();
    assert_eq!(error.code(), Code::ArgumentInvalid);
    let error = refused(&home.user().join("nothing"), WorkspaceMode::Copy).await;
    assert_eq!(error.code(), Code::WorkspaceMissing);
    let error = refused(&folder.join("file"), WorkspaceMode::Copy).await;
    assert_eq!(error.code(), Code::WorkspaceNotADirectory);
    symlink("/etc", home.user().join("out")).unwrap();
    let error = refused(&home.user().join("out"), WorkspaceMode::Copy).await;
    assert_eq!(error.code(), Code::WorkspaceNotAllowed);
    // Of a terabyte, no more is read than may be.
    fs::File::create(folder.join("large")).unwrap().set_len(1 << 40).unwrap();
    let error = refused(&folder, WorkspaceMode::Copy).await;
    assert_eq!(error.code(), Code::WorkspaceTooLarge);

    let tasks = armor.lifecycle().registry().list(&TaskQuery::default()).await.unwrap();
    assert!(tasks.items.is_empty(), "{tasks:?}");
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}

#[tokio::test]
async fn a_folder_of_the_home_around_it_or_of_root_is_never_a_workspace() {
    let home = Home::new().with("ARMOR_WORKSPACE_MODES", "bind,copy");
    let all = home.path().parent().unwrap().to_owned();
    let home = home.with("ARMOR_WORKSPACE_ALLOWED_ROOTS", all.display().to_string());
    let armor = open(&home).await;
    fs::create_dir_all(home.path().join("backups")).unwrap();
    for mode in [WorkspaceMode::Copy, WorkspaceMode::Bind] {
        for path in [all.clone(), home.path(), home.path().join("backups")] {
            let error = create(&armor, &path, mode).await.unwrap_err();
            assert_eq!(error.code(), Code::WorkspaceNotAllowed, "{error}");
        }
    }
    let folder = folder(&home);
    if rustix::process::geteuid().is_root() {
        let error = create(&armor, &folder, WorkspaceMode::Bind).await.unwrap_err();
        assert_eq!(error.code(), Code::WorkspaceRefused, "{error}");
    }
    give(&folder);
    symlink("inner", folder.join(".git")).unwrap();
    let error = create(&armor, &folder, WorkspaceMode::Bind).await.unwrap_err();
    assert_eq!(error.code(), Code::WorkspaceRefused, "{error}");
    armor.close().await;
}
