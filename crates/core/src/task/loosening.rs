//! Where a task's sandbox is less closed than one that nobody asked anything of.

use serde::{Deserialize, Serialize};

use super::SandboxRequest;

/// One thing in which a sandbox is less closed than [`SandboxRequest::default`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loosening {
    /// What: `network`, `network.allow`, `certificates`, `workspace`, or the name of a limit.
    pub what: String,
    /// What it is now.
    pub asked: String,
    /// What it is where nobody asks for anything.
    pub default: String,
}

impl SandboxRequest {
    /// All in which it is less closed than the default.
    pub fn loosenings(&self) -> Vec<Loosening> {
        let closed = Self::default();
        let mut found = Vec::new();
        let mut note = |what: &str, asked: String, default: String| {
            found.push(Loosening { what: what.to_owned(), asked, default });
        };
        if self.network != closed.network {
            note("network", self.network.to_string(), closed.network.to_string());
        }
        if !self.rules.allow.is_empty() {
            let rules: Vec<_> = self.rules.allow.iter().map(ToString::to_string).collect();
            note("network.allow", rules.join(" "), String::new());
        }
        if let Some(file) = &self.certificates {
            note("certificates", file.display().to_string(), String::new());
        }
        if let Some(folder) = &self.folder {
            let asked = format!("{} {}", folder.mode(), folder.path().display());
            note("workspace", asked, String::new());
        }
        for ((name, asked), (_, default)) in
            self.limits.named().into_iter().zip(closed.limits.named())
        {
            if asked > default {
                note(name, asked.to_string(), default.to_string());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Limits, NetworkMode, UserIds};
    use crate::task::Folder;

    #[test]
    fn what_is_looser_than_the_default_is_found_and_what_is_tighter_is_not() {
        assert_eq!(SandboxRequest::default().loosenings(), []);
        let limits = Limits { memory_mib: 16, ..Limits::default() };
        let tighter = SandboxRequest { limits, ..SandboxRequest::default() };
        assert_eq!(tighter.loosenings(), []);
        let looser = SandboxRequest {
            network: NetworkMode::Open,
            folder: Some(Folder::Bind {
                path: "/src".into(),
                owner: UserIds::UNPRIVILEGED,
                kept: Vec::new(),
            }),
            limits: Limits { pids: 4096, ..Limits::default() },
            ..SandboxRequest::default()
        };
        let found = looser.loosenings();
        let what: Vec<_> =
            found.iter().map(|one| (one.what.as_str(), one.asked.as_str())).collect();
        assert_eq!(what, [("network", "open"), ("workspace", "bind /src"), ("pids", "4096")]);
    }
}
