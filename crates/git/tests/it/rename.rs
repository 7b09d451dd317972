//! The branch of a working copy gets another name, whatever an agent made of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use armor_git::rename_branch;
use armor_testkit::Repository;

/// A repository with the branch `task/one` checked out, on which there is a commit.
fn working_copy(folder: &tempfile::TempDir) -> (Repository, String) {
    let repository = Repository::make(folder.path().join("copy"));
    repository.git(&["checkout", "--quiet", "-b", "task/one"]);
    let head = repository.commit("file", "text");
    (repository, head)
}

#[test]
fn a_branch_has_the_other_name_and_is_checked_out_as_before() {
    for (is_packed, head) in [(false, "task/one"), (true, "task/one"), (false, "main")] {
        let folder = tempfile::tempdir().unwrap();
        let (repository, commit) = working_copy(&folder);
        if is_packed {
            repository.git(&["pack-refs", "--all"]);
        }
        repository.git(&["branch", "--force", "main"]);
        repository.git(&["checkout", "--quiet", head]);
        fs::write(repository.path().join("file"), "not committed").unwrap();
        assert!(rename_branch(repository.path(), "task/one", "task/two").unwrap());
        assert_eq!(repository.git(&["rev-parse", "task/two"]), commit);
        let branches = repository.git(&["branch", "--list", "--format=%(refname:short)", "task/*"]);
        assert_eq!(branches, "task/two", "{is_packed}");
        let expected = head.replace("one", "two");
        assert_eq!(repository.git(&["symbolic-ref", "--short", "HEAD"]), expected);
        assert_eq!(repository.git(&["status", "--porcelain"]), "M file");
        repository.git(&["fsck", "--strict"]);
        repository.commit("more", "text");
    }
}

#[test]
fn what_is_no_repository_or_has_no_such_branch_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    rename_branch(&empty, "task/one", "task/two").unwrap();
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    let (repository, _) = working_copy(&folder);
    let before = repository.git(&["for-each-ref"]);
    rename_branch(repository.path(), "task/none", "task/two").unwrap();
    assert_eq!(repository.git(&["for-each-ref"]), before);
}

// R95: what an agent put where something is to be made holds nobody up, and is not written to.
#[test]
fn what_is_in_the_way_of_a_new_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, commit) = working_copy(&folder);
    let inside = repository.path().join(".git");
    let other = repository.path().join("file");
    let before = fs::read(&other).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(inside.join("armor-new-0")).status();
    assert!(pipe.unwrap().success());
    fs::hard_link(&other, inside.join("armor-new-1")).unwrap();
    fs::create_dir(inside.join("armor-new-2")).unwrap();
    symlink("nowhere", inside.join("armor-new-3")).unwrap();
    assert!(rename_branch(repository.path(), "task/one", "task/two").unwrap());
    assert_eq!(repository.git(&["rev-parse", "HEAD"]), commit);
    assert_eq!(repository.git(&["symbolic-ref", "--short", "HEAD"]), "task/two");
    assert_eq!(fs::read(&other).unwrap(), before);
    assert!(!inside.join("armor-new-4").exists());
}

// R95: a repository in which there is no place for the branch is no reason to fail for ever.
#[test]
fn a_repository_without_a_place_for_the_branch_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, commit) = working_copy(&folder);
    repository.git(&["pack-refs", "--all"]);
    let heads = repository.path().join(".git/refs/heads");
    let _none = fs::remove_dir(heads.join("task"));
    fs::write(heads.join("task"), "in the way").unwrap();
    assert!(!rename_branch(repository.path(), "task/one", "task/two").unwrap());
    fs::remove_file(heads.join("task")).unwrap();
    assert_eq!(repository.git(&["rev-parse", "HEAD"]), commit);
    assert_eq!(repository.git(&["symbolic-ref", "--short", "HEAD"]), "task/one");
}

#[test]
fn a_branch_that_is_another_name_of_one_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, commit) = working_copy(&folder);
    repository.git(&["branch", "real"]);
    repository.git(&["symbolic-ref", "refs/heads/task/one", "refs/heads/real"]);
    assert!(!rename_branch(repository.path(), "task/one", "task/two").unwrap());
    assert_eq!(repository.git(&["rev-parse", "HEAD"]), commit);
    assert_eq!(repository.git(&["rev-parse", "task/one"]), commit);
}

// R97: nothing outside of the working copy is written to, or read.
#[test]
fn links_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    let (repository, commit) = working_copy(&folder);
    let inside = repository.path().join(".git");
    let leads: [(&str, PathBuf); 4] = [
        (".", folder.path().join("git")),
        ("refs", outside.join("refs")),
        ("refs/heads/task", outside.join("task")),
        ("HEAD", outside.join("HEAD")),
    ];
    fs::create_dir(&outside).unwrap();
    for (link, to) in leads {
        let link = if link == "." { inside.clone() } else { inside.join(link) };
        fs::rename(&link, &to).unwrap();
        symlink(&to, &link).unwrap();
        // An error or not: nothing happens there.
        let _told = rename_branch(repository.path(), "task/one", "task/two");
        for name in ["task/two", "heads/task/two", "two", "refs/heads/task/two"] {
            assert!(!to.join(name).exists(), "{}", link.display());
        }
        for head in [outside.join("HEAD"), to.join("HEAD")] {
            if head.exists() {
                assert_eq!(fs::read_to_string(head).unwrap(), "ref: refs/heads/task/one\n");
            }
        }
        fs::remove_file(&link).unwrap();
        fs::rename(&to, &link).unwrap();
        // As it was, for the next one.
        fs::write(inside.join("HEAD"), "ref: refs/heads/task/one\n").unwrap();
        repository.git(&["update-ref", "refs/heads/task/one", &commit]);
        let _none = fs::remove_file(inside.join("refs/heads/task/two"));
    }
}
