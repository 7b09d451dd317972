//! Bringing commits home.

use std::path::{Path, PathBuf};

use armor_core::error::{Code, Diagnostic};
use armor_git::{GitError, Imported, SourceRepository, WorkingCopy, make_from};

use crate::support::{Place, commit, git, me, snapshot};

const BRANCH: &str = "task/t1";

struct Work {
    place: Place,
    source: SourceRepository,
    copy: PathBuf,
    base: String,
}

impl Work {
    async fn begin() -> Self {
        let place = Place::new();
        let source = place.find().await;
        let base = source.head().await.unwrap();
        source.create_branch(BRANCH, &base).await.unwrap();
        let copy = place.path().join("workspace");
        let from = WorkingCopy { source: &source, branch: BRANCH, base: &base, objects: None };
        make_from(from, &copy, me()).await.unwrap();
        Self { place, source, copy, base }
    }

    fn bundle(&self) -> PathBuf {
        let bundle = self.place.path().join("bundle");
        let exclude = format!("^{}", self.base);
        let path = bundle.to_string_lossy();
        git(
            &self.copy,
            &["bundle", "create", "--quiet", &path, &format!("refs/heads/{BRANCH}"), &exclude],
        );
        bundle
    }

    /// What the lifecycle does with a bundle.
    async fn import(&self, expected: &str) -> Result<Imported, GitError> {
        let head = self.source.take_in(&self.bundle(), BRANCH).await?;
        self.source.move_branch(BRANCH, expected, &head).await
    }

    fn refs(&self) -> String {
        git(&self.place.source(), &["for-each-ref", "--format=%(refname)", "refs/armor"])
    }
}

// R43
#[tokio::test]
async fn commits_come_onto_the_branch_and_nothing_else_changes() {
    let work = Work::begin().await;
    let before = snapshot(&work.place.source());
    commit(&work.copy, "three.txt", "three");
    let first = commit(&work.copy, "four.txt", "four");
    let imported = work.import(&work.base).await.unwrap();
    assert_eq!((imported.head.as_str(), imported.commits), (first.as_str(), 2));
    let second = commit(&work.copy, "five.txt", "five");
    let imported = work.import(&first).await.unwrap();
    assert_eq!((imported.head.as_str(), imported.commits), (second.as_str(), 1));
    assert_eq!(work.source.branch(BRANCH).await.unwrap(), Some(second));
    assert_eq!(git(&work.place.source(), &["show", &format!("{BRANCH}:three.txt")]), "three");
    assert_eq!(snapshot(&work.place.source()), before);
    assert_eq!(work.refs(), "");
}

#[tokio::test]
async fn what_an_agent_rewrote_stays_reachable() {
    let work = Work::begin().await;
    let first = commit(&work.copy, "three.txt", "three");
    work.import(&work.base).await.unwrap();
    git(&work.copy, &["commit", "--quiet", "--amend", "--message", "rewritten"]);
    let imported = work.import(&first).await.unwrap();
    assert_eq!(work.source.branch(BRANCH).await.unwrap(), Some(imported.head));
    assert_eq!(work.refs(), format!("refs/armor/rewritten/{BRANCH}/{first}"));
}

#[tokio::test]
async fn a_branch_that_the_user_moved_or_has_checked_out_is_left_alone_and_the_work_is_kept() {
    for checked_out in [false, true] {
        let work = Work::begin().await;
        let repository = work.place.source();
        let theirs = if checked_out {
            git(&repository, &["checkout", "--quiet", BRANCH]);
            work.base.clone()
        } else {
            let theirs =
                git(&repository, &["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "mine"]);
            git(&repository, &["branch", "--force", BRANCH, &theirs]);
            theirs
        };
        let head = commit(&work.copy, "three.txt", "three");
        let error = work.import(&work.base).await.unwrap_err();
        assert_eq!(error.code(), Code::WorkspaceBranchConflict);
        let kept = format!("refs/armor/incoming/{BRANCH}");
        assert!(error.next_step().unwrap().contains(&kept));
        assert_eq!(work.source.branch(BRANCH).await.unwrap(), Some(theirs));
        assert_eq!(git(&repository, &["rev-parse", &kept]), head);
    }
}

// Being killed between the branch's move and the note of it costs nothing: the next time goes on.
#[tokio::test]
async fn a_branch_that_was_moved_and_not_noted_is_moved_on() {
    let work = Work::begin().await;
    let first = commit(&work.copy, "three.txt", "three");
    work.import(&work.base).await.unwrap();
    let again = work.import(&work.base).await.unwrap();
    assert_eq!((again.head.as_str(), again.commits), (first.as_str(), 1));
    let second = commit(&work.copy, "four.txt", "four");
    let on = work.import(&work.base).await.unwrap();
    assert_eq!((on.head.as_str(), on.commits), (second.as_str(), 2));
    assert_eq!(work.refs(), "");
}

#[tokio::test]
async fn a_branch_goes_back_to_where_it_began_and_further_without_a_bundle() {
    let work = Work::begin().await;
    let first = commit(&work.copy, "three.txt", "three");
    work.import(&work.base).await.unwrap();
    let before = git(&work.place.source(), &["rev-parse", "main~1"]);
    for target in [&work.base, &before] {
        assert!(work.source.has_commit(target).await.unwrap());
        let expected = work.source.branch(BRANCH).await.unwrap().unwrap();
        let moved = work.source.move_branch(BRANCH, &expected, target).await.unwrap();
        assert_eq!((&moved.head, moved.commits), (target, 0));
    }
    assert!(work.refs().contains(&first), "{}", work.refs());
    assert!(!work.source.has_commit(&"0".repeat(40)).await.unwrap());
}

async fn refused(work: &Work, bundle: &Path) {
    let error = work.source.take_in(bundle, BRANCH).await.unwrap_err();
    assert_eq!(error.code(), Code::GitFailed, "{error}");
    assert_eq!(work.source.branch(BRANCH).await.unwrap().as_ref(), Some(&work.base));
    assert_eq!(work.refs(), "");
}

// R97: a bundle is an agent's data; a bad one changes nothing.
#[tokio::test]
async fn a_bundle_that_is_no_good_changes_nothing() {
    let work = Work::begin().await;
    commit(&work.copy, "three.txt", &"three ".repeat(1000));
    let bundle = work.bundle();
    let good = std::fs::read(&bundle).unwrap();
    let mut flipped = good.clone();
    let last = flipped.len() - 30;
    flipped[last] ^= 0xff;
    for bad in [b"not a bundle".to_vec(), Vec::new(), good[..good.len() - 40].to_vec(), flipped] {
        std::fs::write(&bundle, bad).unwrap();
        refused(&work, &bundle).await;
    }
    // A tree with `.git` in it would overwrite the configuration of whoever checks it out.
    let blob = git(&work.copy, &["rev-parse", "HEAD:three.txt"]);
    let index = work.place.path().join("index");
    let evil = std::process::Command::new("sh")
        .current_dir(&work.copy)
        .env("GIT_INDEX_FILE", &index)
        .args(["-c", "t=$(printf \"100644 blob $1\\tconfig\\n\" | git mktree) && t2=$(printf \"040000 tree $t\\t.git\\n\" | git mktree) && git -c user.name=x -c user.email=x@x.invalid commit-tree $t2 -p HEAD -m evil", "sh", &blob])
        .output()
        .unwrap();
    let evil = String::from_utf8(evil.stdout).unwrap().trim().to_owned();
    git(&work.copy, &["update-ref", &format!("refs/heads/{BRANCH}"), &evil]);
    refused(&work, &work.bundle()).await;
}
