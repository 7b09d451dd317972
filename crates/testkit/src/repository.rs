//! A user's repository.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A user's repository in a folder of a test's.
#[derive(Debug)]
pub struct Repository {
    path: PathBuf,
}

impl Repository {
    /// Makes one with two commits on `main`, `one.txt` and `two.txt`.
    pub fn make(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "--quiet", "--initial-branch=main"]);
        let repository = Self { path };
        repository.commit("one.txt", "one");
        repository.commit("two.txt", "two");
        repository
    }

    /// Takes one that is there.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs git in it, as a user without configuration, and gives what it says.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.path, arguments)
    }

    /// Commits a file and gives the commit.
    pub fn commit(&self, file: &str, text: &str) -> String {
        std::fs::write(self.path.join(file), text).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", file]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Everything that a user would notice if it changed: checkout, index, configuration, hooks,
    /// branches and tags. The branches of tasks are left out.
    pub fn snapshot(&self) -> String {
        let file =
            |name: &str| std::fs::read(self.path.join(".git").join(name)).unwrap_or_default();
        let hooks = std::fs::read_dir(self.path.join(".git/hooks"));
        let mut hooks: Vec<_> =
            hooks.into_iter().flatten().map(|hook| hook.unwrap().file_name()).collect();
        hooks.sort();
        let index = file("index");
        let status = self.git(&["status", "--porcelain", "--ignored"]);
        let references = self.git(&["for-each-ref"]);
        let references: Vec<_> =
            references.lines().filter(|line| !line.contains("refs/heads/task/")).collect();
        format!(
            "{:?}\n{:?}\n{:?}\n{:?}\n{hooks:?}\n{status}\n{references:?}",
            String::from_utf8_lossy(&file("config")),
            String::from_utf8_lossy(&file("HEAD")),
            String::from_utf8_lossy(&file("FETCH_HEAD")),
            index,
        )
    }
}

/// Runs git in a folder, as a user without configuration, and gives what it says.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=User", "-c", "user.email=user@example.invalid", "-C"])
        .arg(folder)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
