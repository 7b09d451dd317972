//! Lays the layers over each other, each value checked by its key and kept with its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use toml::{Table, Value};

use crate::config::{Environment, KEYS, Key, Kind, Scope, Settings};
use crate::error::{Code, Diagnostic};
use crate::network::rules;
use crate::sandbox::ImageName;

/// Where a value came from; a later one wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "from", content = "at")]
pub enum Origin {
    /// Built in.
    Default,
    /// `armor.toml` in Armor's home.
    HomeFile(PathBuf),
    /// `.armor.toml` of the project.
    ProjectFile(PathBuf),
    /// A variable.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::HomeFile(path) | Self::ProjectFile(path) => path.display().fmt(f),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Flag(_) => f.write_str("--set"),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file is there and cannot be read.
    #[error("{path} cannot be read", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not TOML.
    #[error("{path} is not valid TOML", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A key that does not exist.
    #[error("{origin} sets the unknown key `{name}`")]
    UnknownKey {
        /// The key.
        name: String,
        /// Who sets it.
        origin: Origin,
        /// The key that may be meant.
        nearest: Option<&'static str>,
    },
    /// A value that the key does not take.
    #[error("{origin} sets {name} to `{value}`, which is not {expected}")]
    Value {
        /// The key.
        name: &'static str,
        /// The value.
        value: String,
        /// Who sets it.
        origin: Origin,
        /// What the key takes.
        expected: String,
    },
    /// A project's file sets what only the user may set.
    #[error("{path} sets {name}, which a project may not set", path = path.display())]
    NotForProjects {
        /// The key.
        name: &'static str,
        /// The file.
        path: PathBuf,
    },
}

impl Diagnostic for ConfigError {
    fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } | Self::Syntax { .. } => Code::ConfigUnreadable,
            Self::UnknownKey { .. } => Code::ConfigUnknownKey,
            Self::Value { .. } | Self::NotForProjects { .. } => Code::ConfigInvalid,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "Make the file readable, or remove it.".to_owned(),
            Self::Syntax { .. } => "Mend the line that is named.".to_owned(),
            Self::UnknownKey { nearest: Some(nearest), .. } => {
                format!("Did you mean `{nearest}`? `armor config show` lists all keys.")
            }
            Self::UnknownKey { nearest: None, .. } | Self::Value { .. } => {
                "`armor config show` lists all keys with their values.".to_owned()
            }
            Self::NotForProjects { .. } => {
                "Set it in armor.toml of Armor's home, or by its variable.".to_owned()
            }
        })
    }
}

/// What the layers are made from.
#[derive(Debug, Default)]
pub struct Sources {
    /// Armor's home.
    pub home: PathBuf,
    /// The environment.
    pub environment: Environment,
    /// The home's file, if there is one: where, and its text.
    pub home_file: Option<(PathBuf, String)>,
    /// The project's file, if there is one: where, and its text.
    pub project_file: Option<(PathBuf, String)>,
    /// Flags: key and value.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// Reads the files that `environment` leads to: `armor.toml` in `home`, and the nearest
    /// `.armor.toml` in the current folder or above it.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn gather(environment: Environment, home: PathBuf) -> Result<Self, ConfigError> {
        let home_file = read_if_there(home.join("armor.toml"))?;
        let mut project_file = None;
        for folder in environment.current_dir.ancestors() {
            project_file = read_if_there(folder.join(".armor.toml"))?;
            if project_file.is_some() {
                break;
            }
        }
        Ok(Self { home, environment, home_file, project_file, flags: Vec::new() })
    }
}

fn read_if_there(path: PathBuf) -> Result<Option<(PathBuf, String)>, ConfigError> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { path, source }),
    }
}

/// A key with its value and where that came from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
    /// Who set it.
    pub origin: Origin,
}

/// All keys with their values.
#[derive(Debug, Clone)]
pub struct Configuration {
    entries: BTreeMap<&'static str, Entry>,
}

impl Configuration {
    /// Lays the layers over each other.
    ///
    /// # Errors
    /// When a layer sets a key that does not exist, or a value that its key does not take.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut configuration = Self { entries: BTreeMap::new() };
        configuration.add_defaults(sources)?;
        if let Some((path, text)) = &sources.home_file {
            configuration.add_file(text, path, &Origin::HomeFile(path.clone()))?;
        }
        if let Some((path, text)) = &sources.project_file {
            configuration.add_file(text, path, &Origin::ProjectFile(path.clone()))?;
        }
        configuration.add_variables(&sources.environment)?;
        for (name, text) in &sources.flags {
            let origin = Origin::Flag(name.clone());
            let key = known_key(name, &origin)?;
            configuration.add_text(key, text, &sources.environment.current_dir, origin)?;
        }
        Ok(configuration)
    }

    /// Every key with its value, in the order of their names.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The values as types.
    pub fn settings(&self) -> Settings {
        Settings::from_entries(&self.entries)
    }

    fn add_defaults(&mut self, sources: &Sources) -> Result<(), ConfigError> {
        let user_home = sources.environment.user_home();
        let fill = |text: &str| {
            text.replace("{home}", &sources.home.to_string_lossy())
                .replace("{user}", &user_home.to_string_lossy())
                .replace("{cwd}", &sources.environment.current_dir.to_string_lossy())
        };
        for key in KEYS {
            if key.kind == Kind::Paths {
                // Filled in one by one, since a path may hold a colon. A process may stand in the
                // root, as services do, or have no folder of its own: that allows nothing.
                let paths = key.default.split(':').map(fill).filter(|path| path != "/");
                let paths = Value::Array(paths.map(Value::from).collect());
                self.add(key, &paths, &sources.home, Origin::Default)?;
            } else {
                self.add_text(key, &fill(key.default), &sources.home, Origin::Default)?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, text: &str, path: &Path, origin: &Origin) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        for (section, value) in table {
            let Value::Table(section_table) = value else {
                return Err(unknown_key(section, origin));
            };
            for (name, value) in section_table {
                let key = known_key(&format!("{section}.{name}"), origin)?;
                if matches!(origin, Origin::ProjectFile(_)) && key.scope == Scope::UserOnly {
                    let path = path.to_owned();
                    return Err(ConfigError::NotForProjects { name: key.name, path });
                }
                self.add(key, &value, folder, origin.clone())?;
            }
        }
        Ok(())
    }

    fn add_variables(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        for (variable, text) in environment.beginning_with(Environment::KEY_PREFIX) {
            if Environment::NOT_KEYS.contains(&variable) {
                continue;
            }
            let origin = Origin::Variable(variable.to_owned());
            let Some(key) = KEYS.iter().find(|key| key.variable() == variable) else {
                let name = variable.trim_start_matches(Environment::KEY_PREFIX);
                let name = name.to_ascii_lowercase().replacen('_', ".", 1);
                return Err(unknown_key(name, &origin));
            };
            self.add_text(key, text, &environment.current_dir, origin)?;
        }
        Ok(())
    }

    fn add_text(
        &mut self,
        key: &'static Key,
        text: &str,
        folder: &Path,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let value = match key.kind {
            Kind::Switch => text.parse().map_or_else(|_| text.into(), Value::Boolean),
            Kind::Integer(..) => text.parse().map_or_else(|_| text.into(), Value::Integer),
            Kind::Paths => Value::Array(
                text.split(':').filter(|part| !part.is_empty()).map(Value::from).collect(),
            ),
            Kind::Choices(_) | Kind::Patterns | Kind::Rules => Value::Array(
                text.split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(Value::from)
                    .collect(),
            ),
            Kind::Text | Kind::Path | Kind::OptionalPath | Kind::Image | Kind::Choice(_) => {
                text.into()
            }
        };
        self.add(key, &value, folder, origin)
    }

    fn add(
        &mut self,
        key: &'static Key,
        value: &Value,
        folder: &Path,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        match checked(key.kind, value, folder) {
            Ok(value) => {
                self.entries.insert(key.name, Entry { key: key.name, value, origin });
                Ok(())
            }
            Err(expected) => Err(ConfigError::Value {
                name: key.name,
                value: value.to_string(),
                origin,
                expected,
            }),
        }
    }
}

/// The value as its key keeps it, paths made absolute; or what the key takes instead.
fn checked(kind: Kind, value: &Value, folder: &Path) -> Result<Value, String> {
    let absolute = |text: &str| Value::from(folder.join(text).to_string_lossy().into_owned());
    match (kind, value) {
        (Kind::Text, Value::String(_)) | (Kind::Switch, Value::Boolean(_)) => Ok(value.clone()),
        (Kind::Text, _) => Err("a text".to_owned()),
        (Kind::Image, Value::String(text)) if text.parse::<ImageName>().is_ok() => {
            Ok(value.clone())
        }
        (Kind::Image, _) => Err("the name of an image".to_owned()),
        (Kind::Path, Value::String(text)) if !text.is_empty() => Ok(absolute(text)),
        (Kind::OptionalPath, Value::String(text)) if text.is_empty() => Ok(value.clone()),
        (Kind::OptionalPath, Value::String(text)) => Ok(absolute(text)),
        (Kind::Path | Kind::OptionalPath, _) => Err("a path".to_owned()),
        (Kind::Paths, Value::Array(parts)) => {
            let paths: Option<Vec<_>> =
                parts.iter().map(|part| part.as_str().map(absolute)).collect();
            paths.map(Value::Array).ok_or_else(|| "a list of paths".to_owned())
        }
        (Kind::Paths, _) => Err("a list of paths".to_owned()),
        (Kind::Switch, _) => Err("true or false".to_owned()),
        (Kind::Integer(min, max), Value::Integer(number))
            if (i64::from(min)..=i64::from(max)).contains(number) =>
        {
            Ok(value.clone())
        }
        (Kind::Integer(min, max), _) => Err(format!("a whole number from {min} to {max}")),
        (Kind::Choice(words), Value::String(word)) if words.contains(&word.as_str()) => {
            Ok(value.clone())
        }
        (Kind::Choice(words), _) => Err(format!("one of {}", words.join(", "))),
        (Kind::Choices(words), Value::Array(parts))
            if parts.iter().all(|part| part.as_str().is_some_and(|part| words.contains(&part))) =>
        {
            Ok(value.clone())
        }
        (Kind::Choices(words), _) => Err(format!("a list of {}", words.join(", "))),
        (Kind::Patterns, Value::Array(parts)) if parts.iter().all(Value::is_str) => {
            Ok(value.clone())
        }
        (Kind::Patterns, _) => Err("a list of patterns such as target/, *.log".to_owned()),
        (Kind::Rules, Value::Array(parts))
            if parts.iter().all(|part| part.as_str().is_some_and(|part| rules(part).is_ok())) =>
        {
            Ok(value.clone())
        }
        (Kind::Rules, _) => Err("a list of rules such as example.com, *.example.com:8443, 192.0.2.0/24:22 or preset:pypi".to_owned()),
    }
}

fn known_key(name: &str, origin: &Origin) -> Result<&'static Key, ConfigError> {
    Key::find(name).ok_or_else(|| unknown_key(name.to_owned(), origin))
}

fn unknown_key(name: String, origin: &Origin) -> ConfigError {
    let nearest = Key::nearest(&name);
    ConfigError::UnknownKey { name, origin: origin.clone(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        home_text: Option<&str>,
        project_text: Option<&str>,
        variables: &[(&'static str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Configuration, ConfigError> {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Configuration::load(&Sources {
            home: "/home/u/armor".into(),
            environment: Environment::of(variables, "/src".into()),
            home_file: home_text.map(|text| ("/home/u/armor/armor.toml".into(), text.to_owned())),
            project_file: project_text.map(|text| ("/src/.armor.toml".into(), text.to_owned())),
            flags: flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        })
    }

    fn entry(configuration: &Configuration, key: &str) -> Entry {
        configuration.entries().find(|entry| entry.key == key).unwrap().clone()
    }

    // R4: defaults < home's file < project's file < variables < flags.
    #[test]
    fn each_layer_wins_over_the_ones_below_and_is_named_as_the_origin() {
        let home = "[execution]\ntimeout_seconds = 2\n[sandbox]\npids = 100";
        let project = "[execution]\ntimeout_seconds = 3";
        let variable = [("ARMOR_EXECUTION_TIMEOUT_SECONDS", "4")];
        let flag = [("execution.timeout_seconds", "5")];
        let key = "execution.timeout_seconds";
        let value = |configuration: Configuration| {
            let entry = entry(&configuration, key);
            (entry.value.as_integer().unwrap(), entry.origin.to_string())
        };
        assert_eq!(value(load(None, None, &[], &[]).unwrap()), (600, "default".to_owned()));
        assert_eq!(
            value(load(Some(home), None, &[], &[]).unwrap()),
            (2, "/home/u/armor/armor.toml".to_owned())
        );
        assert_eq!(
            value(load(Some(home), Some(project), &[], &[]).unwrap()),
            (3, "/src/.armor.toml".to_owned())
        );
        assert_eq!(
            value(load(Some(home), Some(project), &variable, &[]).unwrap()),
            (4, "$ARMOR_EXECUTION_TIMEOUT_SECONDS".to_owned())
        );
        let all = load(Some(home), Some(project), &variable, &flag).unwrap();
        assert_eq!(all.settings().sandbox.pids, 100);
        assert_eq!(value(all), (5, "--set".to_owned()));
    }

    #[test]
    fn an_unknown_key_is_an_error_with_the_nearest_one() {
        for error in [
            load(Some("[sandbox]\nimgae = \"x\""), None, &[], &[]).unwrap_err(),
            load(None, None, &[("ARMOR_SANDBOX_IMGAE", "x")], &[]).unwrap_err(),
            load(None, None, &[], &[("sandbox.imgae", "x")]).unwrap_err(),
        ] {
            assert_eq!(error.code(), Code::ConfigUnknownKey);
            assert!(error.next_step().unwrap().contains("`sandbox.image`"), "{error}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_says_what_is_taken() {
        let error = load(Some("[sandbox]\npids = \"many\""), None, &[], &[]).unwrap_err();
        assert!(error.to_string().contains("a whole number from 8"), "{error}");
        let error = load(None, None, &[("ARMOR_SANDBOX_NETWORK", "host")], &[]).unwrap_err();
        assert!(error.to_string().contains("one of none, internal"), "{error}");
    }

    #[test]
    fn a_project_may_not_widen_what_its_tasks_may_do() {
        let error = load(None, Some("[workspace]\nallowed_roots = [\"/\"]"), &[], &[]).unwrap_err();
        assert!(matches!(
            error,
            ConfigError::NotForProjects { name: "workspace.allowed_roots", .. }
        ));
    }

    #[test]
    fn relative_paths_are_taken_from_where_they_are_written() {
        let configuration = load(Some("[database]\npath = \"d.db\""), None, &[], &[]).unwrap();
        assert_eq!(configuration.settings().database.path, PathBuf::from("/home/u/armor/d.db"));
    }

    #[test]
    fn patterns_are_a_list_of_texts() {
        let checkpoint = |variables: &[(&'static str, &str)]| {
            load(None, None, variables, &[]).map(|loaded| loaded.settings().checkpoint)
        };
        let defaults = checkpoint(&[]).unwrap();
        assert!(defaults.leave_out.contains(&"node_modules/".to_owned()));
        assert_eq!((defaults.git_ignored, defaults.largest_file_bytes()), (false, None));
        let set = checkpoint(&[
            ("ARMOR_CHECKPOINT_LEAVE_OUT", "/build, !*.log"),
            ("ARMOR_CHECKPOINT_LARGEST_FILE_MIB", "2"),
        ]);
        let set = set.unwrap();
        assert_eq!(set.leave_out, ["/build", "!*.log"]);
        assert_eq!(set.largest_file_bytes(), Some(2 << 20));
        let error = load(Some("[checkpoint]\nleave_out = [1]"), None, &[], &[]).unwrap_err();
        assert!(error.to_string().contains("a list of patterns"), "{error}");
    }

    #[test]
    fn the_defaults_are_taken_by_their_own_keys() {
        let settings = load(None, None, &[("HOME", "/home/u")], &[]).unwrap().settings();
        assert_eq!(settings.sandbox_request().limits, crate::sandbox::Limits::default());
        assert_eq!(settings.workspace.allowed_roots, [PathBuf::from("/home/u"), "/src".into()]);
        // Without a folder of the user's own, the root of the file system is not one.
        let settings = load(None, None, &[], &[]).unwrap().settings();
        assert_eq!(settings.workspace.allowed_roots, [PathBuf::from("/src")]);
    }
}
