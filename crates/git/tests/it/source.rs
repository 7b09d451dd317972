//! Finding the user's repository, and making the task's branch in it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use armor_core::error::{Code, Diagnostic};
use armor_core::sandbox::UserIds;
use armor_git::{Git, SourceRepository};

use crate::support::{Place, allowed, commit, git, me, snapshot};

async fn code(workspace: &Path, root: &Path) -> Code {
    let found = SourceRepository::find(Git::default(), workspace, &allowed(root)).await;
    found.unwrap_err().code()
}

#[tokio::test]
async fn a_workspace_that_cannot_be_used_says_why() {
    let place = Place::new();
    let root = place.path();
    let (file, plain, empty) = (root.join("file"), root.join("plain"), root.join("empty"));
    std::fs::write(&file, "").unwrap();
    std::fs::create_dir(&plain).unwrap();
    std::fs::create_dir(&empty).unwrap();
    git(&empty, &["init", "--quiet"]);
    symlink(place.source(), plain.join("link")).unwrap();

    assert_eq!(code(&root.join("missing"), root).await, Code::WorkspaceMissing);
    assert_eq!(code(&file, root).await, Code::WorkspaceNotADirectory);
    assert_eq!(code(&plain, root).await, Code::WorkspaceNotARepository);
    assert_eq!(code(&place.source(), &plain).await, Code::WorkspaceNotAllowed);
    assert_eq!(code(&plain.join("link"), &plain).await, Code::WorkspaceNotAllowed);
    assert_eq!(code(&place.source().join(".."), &place.source()).await, Code::WorkspaceNotAllowed);
    let source = SourceRepository::find(Git::default(), &empty, &allowed(root)).await.unwrap();
    assert_eq!(source.head().await.unwrap_err().code(), Code::WorkspaceNoCommit);
}

#[tokio::test]
async fn a_folder_in_a_repository_means_the_repository_and_a_bare_one_is_taken() {
    let place = Place::new();
    let inner = place.source().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let roots = allowed(place.path());
    let found = SourceRepository::find(Git::default(), &inner, &roots).await.unwrap();
    assert_eq!(found.path(), place.source().canonicalize().unwrap());

    git(place.path(), &["clone", "--quiet", "--bare", "source", "bare.git"]);
    let bare = place.path().join("bare.git");
    let found = SourceRepository::find(Git::default(), &bare, &roots).await.unwrap();
    assert_eq!(found.head().await.unwrap(), git(&place.source(), &["rev-parse", "HEAD"]));
}

// R43: nothing of the user's own is changed but for the new branch.
#[tokio::test]
async fn making_a_branch_changes_nothing_else_and_can_be_repeated() {
    let place = Place::new();
    let source = place.find().await;
    let head = source.head().await.unwrap();
    let before = snapshot(&place.source());
    source.create_branch("task/t1", &head).await.unwrap();
    source.create_branch("task/t1", &head).await.unwrap();
    assert_eq!(snapshot(&place.source()), before);
    assert_eq!(source.branch("task/t1").await.unwrap(), Some(head.clone()));
    assert_eq!(source.branch("task/t2").await.unwrap(), None);

    let later = commit(&place.source(), "three.txt", "three");
    let error = source.create_branch("task/t1", &later).await.unwrap_err();
    assert_eq!(error.code(), Code::WorkspaceBranchConflict);
    git(&place.source(), &["branch", "blocked"]);
    let error = source.create_branch("blocked/t1", &head).await.unwrap_err();
    assert_eq!(error.code(), Code::WorkspaceBranchConflict);
}

#[tokio::test]
async fn objects_are_shared_only_if_the_reader_can_read_them_all_in_one_place() {
    let place = Place::new();
    let source = place.find().await;
    let objects = place.source().canonicalize().unwrap().join(".git/objects");
    assert_eq!(source.shareable_objects(me()).await.unwrap(), Some(objects.clone()));
    std::fs::set_permissions(&objects, std::fs::Permissions::from_mode(0o700)).unwrap();
    let stranger = UserIds { uid: me().uid + 1, gid: me().gid + 1 };
    assert_eq!(source.shareable_objects(stranger).await.unwrap(), None);
    assert_eq!(source.shareable_objects(me()).await.unwrap(), Some(objects));

    git(place.path(), &["clone", "--quiet", "--shared", "source", "borrower"]);
    let roots = allowed(place.path());
    let borrower = place.path().join("borrower");
    let borrower = SourceRepository::find(Git::default(), &borrower, &roots).await.unwrap();
    assert_eq!(borrower.shareable_objects(me()).await.unwrap(), None);
}

// R97: git never runs on the host in what an agent can write, nor reads what lies elsewhere.
#[tokio::test]
async fn a_repository_whose_parts_lie_where_they_must_not_is_refused() {
    let place = Place::new();
    let inside = place.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    git(&inside, &["clone", "--quiet", &place.source().display().to_string(), "clone"]);
    let clone = inside.join("clone");
    let find = async |allowed: &armor_git::Allowed| {
        SourceRepository::find(Git::default(), &clone, allowed).await.map(drop)
    };
    let inside_only = allowed(&inside);
    find(&inside_only).await.unwrap();

    let forbidden = armor_git::Allowed {
        roots: vec![place.path().to_owned()],
        forbidden: vec![inside.clone()],
    };
    assert_eq!(find(&forbidden).await.unwrap_err().code(), Code::WorkspaceNotAllowed);

    // The git folder elsewhere, through a `.git` file; then only the objects, through a link.
    let elsewhere = place.path().join("elsewhere");
    std::fs::rename(clone.join(".git"), &elsewhere).unwrap();
    std::fs::write(clone.join(".git"), format!("gitdir: {}\n", elsewhere.display())).unwrap();
    assert_eq!(find(&inside_only).await.unwrap_err().code(), Code::WorkspaceNotAllowed);
    std::fs::remove_file(clone.join(".git")).unwrap();
    std::fs::rename(&elsewhere, clone.join(".git")).unwrap();
    find(&inside_only).await.unwrap();
    std::fs::rename(clone.join(".git/objects"), place.path().join("objects")).unwrap();
    symlink(place.path().join("objects"), clone.join(".git/objects")).unwrap();
    assert_eq!(find(&inside_only).await.unwrap_err().code(), Code::WorkspaceNotAllowed);
}

#[tokio::test]
async fn no_program_that_a_repository_names_is_run() {
    let place = Place::new();
    let mark = place.path().join("ran");
    let hooks = place.source().join(".git/hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    for hook in ["reference-transaction", "post-checkout", "pre-commit", "post-index-change"] {
        let script = format!("#!/bin/sh\ntouch {}\n", mark.display());
        std::fs::write(hooks.join(hook), script).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(hooks.join(hook), executable).unwrap();
    }
    git(&place.source(), &["config", "core.fsmonitor", &format!("touch {}", mark.display())]);
    let source = place.find().await;
    let head = source.head().await.unwrap();
    source.create_branch("task/t1", &head).await.unwrap();
    source.remove_branch("task/t1", &head).await.unwrap();
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_branch_without_a_commit_and_a_path_of_two_lines_are_told_apart_from_usable_ones() {
    let place = Place::new();
    let roots = allowed(place.path());
    let find = async |path: &Path| SourceRepository::find(Git::default(), path, &roots).await;
    let source = find(&place.source()).await.unwrap();
    assert!(source.current_branch().await.unwrap().is_some());
    git(&place.source(), &["checkout", "--quiet", "--orphan", "nothing-yet"]);
    let source = find(&place.source()).await.unwrap();
    // A task that began before goes on, without a branch to compare with.
    assert_eq!(source.current_branch().await.unwrap(), None);
    assert_eq!(source.head().await.unwrap_err().code(), Code::WorkspaceNoCommit);

    let odd = place.path().join("two\nlines");
    std::fs::create_dir(&odd).unwrap();
    git(&odd, &["init", "--quiet"]);
    assert_eq!(find(&odd).await.unwrap_err().code(), Code::GitFailed);
}
