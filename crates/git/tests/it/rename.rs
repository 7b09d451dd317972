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
        rename_branch(repository.path(), "task/one", "task/two").unwrap();
        assert_eq!(repository.git(&["rev-parse", "task/two"]), commit);
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

// R95: what an agent put in the way holds nobody up, and is not written through.
#[test]
fn a_pipe_or_another_name_of_a_file_in_the_way_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, commit) = working_copy(&folder);
    let lock = repository.path().join(".git/HEAD.lock");
    let pipe = std::process::Command::new("mkfifo").arg(&lock).status().unwrap();
    assert!(pipe.success());
    rename_branch(repository.path(), "task/one", "task/two").unwrap();
    assert_eq!(repository.git(&["rev-parse", "HEAD"]), commit);
    let other = repository.path().join("file");
    let before = fs::read(&other).unwrap();
    fs::hard_link(&other, &lock).unwrap();
    rename_branch(repository.path(), "task/two", "task/three").unwrap();
    assert_eq!(fs::read(&other).unwrap(), before);
    assert_eq!(repository.git(&["symbolic-ref", "--short", "HEAD"]), "task/three");
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
        for name in ["task/two", "heads/task/two", "two"] {
            assert!(!to.join(name).exists(), "{}", link.display());
        }
        let head = outside.join("HEAD");
        if head.exists() {
            assert_eq!(fs::read_to_string(head).unwrap(), "ref: refs/heads/task/one\n");
        }
        fs::remove_file(&link).unwrap();
        fs::rename(&to, &link).unwrap();
        // As it was, for the next one.
        fs::write(inside.join("HEAD"), "ref: refs/heads/task/one\n").unwrap();
        repository.git(&["update-ref", "refs/heads/task/one", &commit]);
        let _none = fs::remove_file(inside.join("refs/heads/task/two"));
    }
}
