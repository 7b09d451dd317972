//! Where the engine answers (R58): what is configured, `DOCKER_HOST`, the docker context, or the
//! first of the usual sockets.

use std::fmt;
use std::path::{Path, PathBuf};

use armor_core::config::Environment;
use armor_core::error::{Code, Diagnostic};
use serde_json::Value;

/// An engine's address, such as `unix:///var/run/docker.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

/// The engine's address cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// A context is chosen that is not there, or has no engine.
    #[error("the docker context `{0}` does not exist or names no engine")]
    Context(String),
}

impl Diagnostic for EndpointError {
    fn code(&self) -> Code {
        Code::EngineUnavailable
    }

    fn next_step(&self) -> Option<String> {
        Some("Choose another with `docker context use`, or set DOCKER_HOST.".to_owned())
    }
}

const DEFAULT: &str = "/var/run/docker.sock";

impl Endpoint {
    /// Finds the address. `configured` wins when it is not empty.
    ///
    /// # Errors
    /// When a docker context is chosen that does not exist.
    pub fn discover(configured: &str, environment: &Environment) -> Result<Self, EndpointError> {
        if !configured.is_empty() {
            return Ok(Self(configured.to_owned()));
        }
        if let Some(host) = environment.get("DOCKER_HOST") {
            return Ok(Self(host.to_owned()));
        }
        if let Some(host) = from_context(environment)? {
            return Ok(Self(host));
        }
        let usual = usual_sockets(environment);
        let found = usual.iter().find(|path| path.exists());
        let socket = found.map_or(Path::new(DEFAULT), PathBuf::as_path);
        Ok(Self(format!("unix://{}", socket.display())))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Docker Engine, rootless Docker, Docker Desktop, Podman.
fn usual_sockets(environment: &Environment) -> Vec<PathBuf> {
    let mut sockets = vec![PathBuf::from(DEFAULT)];
    if let Some(runtime) = environment.get("XDG_RUNTIME_DIR") {
        sockets.push(Path::new(runtime).join("docker.sock"));
        sockets.push(Path::new(runtime).join("podman/podman.sock"));
    }
    sockets.push(environment.user_home().join(".docker/run/docker.sock"));
    sockets
}

/// The address of the chosen docker context; none when the default one is chosen.
fn from_context(environment: &Environment) -> Result<Option<String>, EndpointError> {
    let folder = environment
        .get("DOCKER_CONFIG")
        .map_or_else(|| environment.user_home().join(".docker"), PathBuf::from);
    let chosen = environment.get("DOCKER_CONTEXT").map(str::to_owned).or_else(|| {
        let config = read_json(&folder.join("config.json"))?;
        config["currentContext"].as_str().map(str::to_owned)
    });
    let Some(name) = chosen.filter(|name| !name.is_empty() && name != "default") else {
        return Ok(None);
    };
    let contexts = std::fs::read_dir(folder.join("contexts/meta"));
    contexts
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| read_json(&entry.path().join("meta.json")))
        .find(|meta| meta["Name"] == name.as_str())
        .and_then(|meta| meta["Endpoints"]["docker"]["Host"].as_str().map(str::to_owned))
        .map(Some)
        .ok_or(EndpointError::Context(name))
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(
        variables: &[(&'static str, &str)],
        configured: &str,
    ) -> Result<String, EndpointError> {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let environment = Environment::of(variables, "/".into());
        Endpoint::discover(configured, &environment).map(|endpoint| endpoint.to_string())
    }

    // R58
    #[test]
    fn the_address_is_found_in_the_order_of_the_docker_client() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".docker");
        let meta = folder.join("contexts/meta/abc");
        std::fs::create_dir_all(&meta).unwrap();
        let context = r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376"}}}"#;
        std::fs::write(meta.join("meta.json"), context).unwrap();
        let user = ("HOME", home.path().to_str().unwrap());

        assert_eq!(
            discover(&[("DOCKER_HOST", "tcp://env:1")], "tcp://set:1").unwrap(),
            "tcp://set:1"
        );
        assert_eq!(discover(&[user, ("DOCKER_HOST", "tcp://env:1")], "").unwrap(), "tcp://env:1");
        assert_eq!(discover(&[user, ("DOCKER_CONTEXT", "far")], "").unwrap(), "tcp://far:2376");
        assert!(discover(&[user, ("DOCKER_CONTEXT", "gone")], "").is_err());
        std::fs::write(folder.join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
        assert_eq!(discover(&[user], "").unwrap(), "tcp://far:2376");
        let default = discover(&[user, ("DOCKER_CONTEXT", "default")], "").unwrap();
        assert!(default.starts_with("unix://"), "{default}");
    }
}
