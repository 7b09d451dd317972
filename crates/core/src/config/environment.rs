//! What a process is given from outside: its variables and where it stands. Taken once, at the
//! edge, so that everything below can be tested with another one.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The environment of a process, as far as Armor looks at it.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// The folder that the process stands in.
    pub current_dir: PathBuf,
}

impl Environment {
    /// Names the folder of all of Armor's data.
    pub const HOME: &'static str = "ARMOR_HOME";
    /// Filters what goes to the log, in the form of the `tracing` crates, such as `armor=debug`.
    pub const LOG: &'static str = "ARMOR_LOG";
    /// Begins the variable of every configuration key: `ARMOR_SANDBOX_IMAGE` for `sandbox.image`.
    pub const KEY_PREFIX: &'static str = "ARMOR_";
    /// Variables that begin like a key's and are none.
    pub const NOT_KEYS: &'static [&'static str] = &[Self::HOME, Self::LOG];

    /// The environment of this process. Variables that are not UTF-8 are left out.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the edge at which the environment is read"
    )]
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let current_dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Self { variables, current_dir }
    }

    /// An environment with just these variables.
    pub fn of(
        variables: impl IntoIterator<Item = (&'static str, String)>,
        current_dir: PathBuf,
    ) -> Self {
        let variables =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { variables, current_dir }
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Every variable that begins with `prefix`.
    pub fn beginning_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The user's own folder.
    pub fn user_home(&self) -> PathBuf {
        PathBuf::from(self.get("HOME").unwrap_or("/"))
    }

    /// The user's name, as far as the environment tells.
    pub fn user(&self) -> Option<&str> {
        self.get("USER").or_else(|| self.get("LOGNAME"))
    }

    /// The folder of all of Armor's data: `$ARMOR_HOME`, else `$XDG_DATA_HOME/agentic-armor`, else
    /// `~/.local/share/agentic-armor`. Relative ones are taken from the current folder.
    pub fn armor_home(&self) -> PathBuf {
        let home = match (self.get(Self::HOME), self.get("XDG_DATA_HOME")) {
            (Some(home), _) => PathBuf::from(home),
            (None, Some(data)) => PathBuf::from(data).join("agentic-armor"),
            (None, None) => self.user_home().join(".local/share/agentic-armor"),
        };
        self.current_dir.join(home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_found_in_the_stated_order() {
        let at = |variables: &[(&'static str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
            Environment::of(variables, "/src".into()).armor_home()
        };
        let user = ("HOME", "/home/u");
        assert_eq!(at(&[user]), PathBuf::from("/home/u/.local/share/agentic-armor"));
        assert_eq!(at(&[user, ("XDG_DATA_HOME", "/data")]), PathBuf::from("/data/agentic-armor"));
        assert_eq!(at(&[("XDG_DATA_HOME", "/data"), ("ARMOR_HOME", "h")]), PathBuf::from("/src/h"));
    }
}
