//! Working copies: whole or not there, with shared objects or their own.

use std::path::Path;

use armor_git::{WorkingCopy, make_empty, make_from};

use crate::support::{Place, allowed, git, me, snapshot};

async fn make(place: &Place, objects: Option<&Path>) -> std::path::PathBuf {
    let source = place.find().await;
    let base = source.head().await.unwrap();
    let copy = WorkingCopy { source: &source, branch: "task/t1", base: &base, objects };
    let target = place.path().join("workspace");
    make_from(copy, &target, me()).await.unwrap();
    target
}

// R43
#[tokio::test]
async fn a_working_copy_has_the_files_the_branch_and_nothing_that_leads_back() {
    let place = Place::new();
    let before = snapshot(&place.source());
    let target = make(&place, None).await;
    assert_eq!(std::fs::read_to_string(target.join("two.txt")).unwrap(), "two");
    assert_eq!(git(&target, &["branch", "--show-current"]), "task/t1");
    assert_eq!(git(&target, &["status", "--porcelain"]), "");
    assert_eq!(git(&target, &["log", "--oneline"]).lines().count(), 2);
    assert_eq!(git(&target, &["diff", "origin/main"]), "");
    assert_eq!(git(&target, &["remote"]), "");
    assert!(!target.join(".git/hooks").exists());
    assert!(target.join(".git").is_dir(), "a linked worktree would have a file there");
    assert_eq!(snapshot(&place.source()), before);
}

#[tokio::test]
async fn with_shared_objects_it_has_none_of_its_own_and_finds_them_where_the_sandbox_has_them() {
    let place = Place::new();
    let objects = place.source().join(".git/objects");
    let target = make(&place, Some(&objects)).await;
    assert_eq!(std::fs::read_to_string(target.join("two.txt")).unwrap(), "two");
    let alternates = std::fs::read_to_string(target.join(".git/objects/info/alternates")).unwrap();
    assert_eq!(alternates, "/run/armor/objects\n");
    let own = git(&target, &["count-objects"]);
    assert!(own.starts_with("0 objects"), "{own}");
}

#[tokio::test]
async fn making_one_again_leaves_it_alone_and_a_half_made_one_is_replaced() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("workspace.new")).unwrap();
    std::fs::write(place.path().join("workspace.new/rest"), "of a kill").unwrap();
    let target = make(&place, None).await;
    assert!(!target.join("rest").exists());
    std::fs::write(target.join("two.txt"), "edited").unwrap();
    make(&place, None).await;
    assert_eq!(std::fs::read_to_string(target.join("two.txt")).unwrap(), "edited");

    make_empty(&place.path().join("memory"), me()).unwrap();
    make_empty(&place.path().join("memory"), me()).unwrap();
    assert!(place.path().join("memory").is_dir());
}

// What the working copy's repository is made of has to be what any git takes, also of the other kind of ids.
#[tokio::test]
async fn a_repository_with_long_ids_gives_a_working_copy_that_can_be_committed_to() {
    let place = Place::new();
    git(place.path(), &["init", "--quiet", "--object-format=sha256", "long"]);
    let long = place.path().join("long");
    std::fs::write(long.join("one.txt"), "one").unwrap();
    git(&long, &["add", "--all"]);
    git(&long, &["commit", "--quiet", "--message", "one"]);
    let roots = allowed(place.path());
    let source = armor_git::SourceRepository::find(armor_git::Git::default(), &long, &roots);
    let source = source.await.unwrap();
    let base = source.head().await.unwrap();
    let copy = WorkingCopy { source: &source, branch: "task/t1", base: &base, objects: None };
    let target = place.path().join("workspace");
    make_from(copy, &target, me()).await.unwrap();
    std::fs::write(target.join("two.txt"), "two").unwrap();
    git(&target, &["add", "--all"]);
    git(&target, &["commit", "--quiet", "--message", "two"]);
    assert_eq!(git(&target, &["log", "--oneline"]).lines().count(), 2);
    assert_eq!(git(&target, &["rev-parse", "HEAD"]).len(), 64);
    assert_eq!(git(&target, &["fsck", "--strict"]), "");
}

// A working copy of a shallow clone works as far as its history goes.
#[tokio::test]
async fn a_shallow_repository_gives_a_working_copy() {
    let place = Place::new();
    let origin = format!("file://{}", place.source().display());
    git(place.path(), &["clone", "--quiet", "--depth=1", &origin, "shallow"]);
    let roots = allowed(place.path());
    let shallow = place.path().join("shallow");
    let source = armor_git::SourceRepository::find(armor_git::Git::default(), &shallow, &roots)
        .await
        .unwrap();
    let base = source.head().await.unwrap();
    for (name, objects) in [("shared", Some(shallow.join(".git/objects"))), ("copied", None)] {
        let copy = WorkingCopy {
            source: &source,
            branch: "task/t1",
            base: &base,
            objects: objects.as_deref(),
        };
        let target = place.path().join(name);
        make_from(copy, &target, me()).await.unwrap();
        assert_eq!(std::fs::read_to_string(target.join("two.txt")).unwrap(), "two", "{name}");
    }
}
