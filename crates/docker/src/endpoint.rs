//! Where the engine answers, and how it is reached (R58): what is configured, `DOCKER_HOST`, the docker
//! context, or the first of the usual sockets.

use std::fmt;
use std::path::{Path, PathBuf};

use armor_core::config::Environment;
use armor_core::error::{Code, Diagnostic};
use serde_json::Value;

use crate::SshAddress;

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// By a socket of this machine.
    Unix(PathBuf),
    /// By an address, in the clear.
    Tcp(String),
    /// By an address, over TLS, each side proving who it is.
    Tls(String, Certificates),
    /// By a machine's `docker` program, over ssh, as the user's own configuration of ssh says.
    Ssh(SshAddress),
}

/// The files by which an engine and who calls it know each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// Whom the engine's certificate has to be signed by.
    pub authority: PathBuf,
    /// The caller's certificate.
    pub certificate: PathBuf,
    /// The caller's key.
    pub key: PathBuf,
}

impl Certificates {
    /// Those in a folder, under the names that the docker client gives them.
    fn in_folder(folder: &Path) -> Result<Self, EndpointError> {
        let file = |name: &str| {
            let path = folder.join(name);
            if path.is_file() { Ok(path) } else { Err(EndpointError::Certificate(path)) }
        };
        Ok(Self {
            authority: file("ca.pem")?,
            certificate: file("cert.pem")?,
            key: file("key.pem")?,
        })
    }
}

/// The engine's address cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// A context is chosen that is not there, or has no engine.
    #[error("the docker context `{0}` does not exist or names no engine")]
    Context(String),
    /// A context does not have the engine prove who it is.
    #[error("the docker context `{0}` takes any engine for its own (skip-tls-verify)")]
    Unverified(String),
    /// A file that TLS needs is not there.
    #[error("the file {path}, which a connection over TLS needs, does not exist", path = .0.display())]
    Certificate(PathBuf),
    /// An address of a form that is not known.
    #[error("`{}` is no address of an engine", .0.escape_debug())]
    Address(String),
}

impl Diagnostic for EndpointError {
    fn code(&self) -> Code {
        Code::EngineUnavailable
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Context(_) => "Choose another with `docker context use`, or set DOCKER_HOST.".to_owned(),
            Self::Unverified(_) => "Give the context the engine's authority: `docker context update --docker host=…,ca=…,cert=…,key=…`.".to_owned(),
            Self::Certificate(_) => "Put ca.pem, cert.pem and key.pem there, or name another folder with `engine.certificates` or DOCKER_CERT_PATH.".to_owned(),
            Self::Address(_) => "Use unix:///path, tcp://host:port or ssh://user@host.".to_owned(),
        })
    }
}

const DEFAULT: &str = "/var/run/docker.sock";

impl Endpoint {
    /// Finds the engine. What is configured wins, when it is not empty; `certificates` is the folder of
    /// those for TLS.
    ///
    /// # Errors
    /// When the address cannot be understood, a docker context is chosen that does not exist, or a
    /// file for TLS is not there.
    pub fn discover(
        configured: &str,
        certificates: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, EndpointError> {
        let docker = docker_folder(environment);
        let from_environment = || {
            environment.get("DOCKER_TLS_VERIFY")?;
            Some(environment.get("DOCKER_CERT_PATH").map_or_else(|| docker.clone(), PathBuf::from))
        };
        let host = Some(configured).filter(|host| !host.is_empty());
        if let Some(host) = host.or_else(|| environment.get("DOCKER_HOST")) {
            let found = certificates.map(Path::to_owned).or_else(from_environment);
            return Self::parse(host, found.as_deref());
        }
        if let Some(context) = Context::chosen(&docker, environment)? {
            let own = certificates.map(Path::to_owned).or_else(|| context.certificates());
            return context.endpoint(own.or_else(from_environment).as_deref());
        }
        let usual = usual_sockets(environment);
        let found = usual.iter().find(|path| path.exists());
        Ok(Self::Unix(found.cloned().unwrap_or_else(|| PathBuf::from(DEFAULT))))
    }

    fn parse(address: &str, certificates: Option<&Path>) -> Result<Self, EndpointError> {
        let unknown = || EndpointError::Address(address.to_owned());
        let (scheme, rest) = address.split_once("://").ok_or_else(unknown)?;
        if rest.is_empty() {
            return Err(unknown());
        }
        match (scheme, certificates) {
            ("unix", _) => Ok(Self::Unix(PathBuf::from(rest))),
            // Whoever names certificates does not want to go without.
            ("tcp" | "https", Some(folder)) => {
                Ok(Self::Tls(rest.to_owned(), Certificates::in_folder(folder)?))
            }
            ("tcp", None) | ("http", _) => Ok(Self::Tcp(rest.to_owned())),
            ("ssh", _) => SshAddress::parse(rest).map(Self::Ssh).ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }

    /// Whether it is an address of a network.
    pub(crate) const fn is_an_address(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Tls(..))
    }

    /// Whether it is a socket of this machine.
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Where its socket is, all links resolved; none for one that is reached otherwise, or is not
    /// there.
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        match self {
            Self::Unix(path) => path.canonicalize().ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) | Self::Tls(address, _) => write!(f, "tcp://{address}"),
            Self::Ssh(address) => address.fmt(f),
        }
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
    sockets.push(PathBuf::from("/run/podman/podman.sock"));
    sockets
}

fn docker_folder(environment: &Environment) -> PathBuf {
    let configured = environment.get("DOCKER_CONFIG").map(PathBuf::from);
    configured.unwrap_or_else(|| environment.user_home().join(".docker"))
}

/// A docker context.
struct Context {
    name: String,
    /// What is kept of it.
    meta: Value,
    /// Where its files for TLS would be.
    tls: PathBuf,
}

impl Context {
    /// The one that is chosen; none when it is the default one.
    fn chosen(docker: &Path, environment: &Environment) -> Result<Option<Self>, EndpointError> {
        let chosen = environment.get("DOCKER_CONTEXT").map(str::to_owned).or_else(|| {
            let config = read_json(&docker.join("config.json"))?;
            config["currentContext"].as_str().map(str::to_owned)
        });
        let Some(name) = chosen.filter(|name| !name.is_empty() && name != "default") else {
            return Ok(None);
        };
        let contexts = std::fs::read_dir(docker.join("contexts/meta"));
        let found = contexts.into_iter().flatten().flatten().find_map(|entry| {
            let meta = read_json(&entry.path().join("meta.json"))?;
            let tls = docker.join("contexts/tls").join(entry.file_name()).join("docker");
            (meta["Name"] == name.as_str()).then_some((meta, tls))
        });
        let (meta, tls) = found.ok_or_else(|| EndpointError::Context(name.clone()))?;
        Ok(Some(Self { name, meta, tls }))
    }

    fn endpoint(self, certificates: Option<&Path>) -> Result<Endpoint, EndpointError> {
        let docker = &self.meta["Endpoints"]["docker"];
        if docker["SkipTLSVerify"] == true {
            return Err(EndpointError::Unverified(self.name));
        }
        let Some(host) = docker["Host"].as_str() else {
            return Err(EndpointError::Context(self.name));
        };
        Endpoint::parse(host, certificates)
    }

    /// The folder of its own certificates, if it has any.
    fn certificates(&self) -> Option<PathBuf> {
        Some(self.tls.clone()).filter(|folder| folder.is_dir())
    }
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&'static str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Environment::of(variables, "/".into())
    }

    fn discover(
        variables: &[(&'static str, &str)],
        configured: &str,
    ) -> Result<String, EndpointError> {
        let found = Endpoint::discover(configured, None, &environment(variables));
        found.map(|endpoint| endpoint.to_string())
    }

    /// A docker client's folder with a context `far`.
    fn with_context(endpoint: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let meta = home.path().join(".docker/contexts/meta/abc");
        std::fs::create_dir_all(&meta).unwrap();
        let context = format!(r#"{{"Name":"far","Endpoints":{{"docker":{endpoint}}}}}"#);
        std::fs::write(meta.join("meta.json"), context).unwrap();
        home
    }

    fn certificates(folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
    }

    // R58
    #[test]
    fn the_address_is_found_in_the_order_of_the_docker_client() {
        let home = with_context(r#"{"Host":"tcp://far:2375"}"#);
        let user = ("HOME", home.path().to_str().unwrap());

        assert_eq!(
            discover(&[("DOCKER_HOST", "tcp://env:1")], "tcp://set:1").unwrap(),
            "tcp://set:1"
        );
        assert_eq!(discover(&[user, ("DOCKER_HOST", "tcp://env:1")], "").unwrap(), "tcp://env:1");
        assert_eq!(discover(&[user, ("DOCKER_CONTEXT", "far")], "").unwrap(), "tcp://far:2375");
        assert!(discover(&[user, ("DOCKER_CONTEXT", "gone")], "").is_err());
        let config = home.path().join(".docker/config.json");
        std::fs::write(config, r#"{"currentContext":"far"}"#).unwrap();
        assert_eq!(discover(&[user], "").unwrap(), "tcp://far:2375");
        let default = discover(&[user, ("DOCKER_CONTEXT", "default")], "").unwrap();
        assert!(default.starts_with("unix://"), "{default}");
    }

    #[test]
    fn certificates_come_from_the_setting_the_variables_or_the_context() {
        let home = with_context(r#"{"Host":"tcp://far:2376","SkipTLSVerify":false}"#);
        let user = ("HOME", home.path().to_str().unwrap());
        let far = ("DOCKER_CONTEXT", "far");
        let folder = |name: &str| home.path().join(name);
        let of = |endpoint: Endpoint| match endpoint {
            Endpoint::Tls(_, certificates) => certificates.key.parent().unwrap().to_owned(),
            other => panic!("{other:?}"),
        };
        let own = folder(".docker/contexts/tls/abc/docker");
        certificates(&own);
        let found = Endpoint::discover("", None, &environment(&[user, far])).unwrap();
        assert_eq!(of(found), own);

        certificates(&folder("first"));
        let first = folder("first");
        let found = Endpoint::discover("", Some(&first), &environment(&[user, far])).unwrap();
        assert_eq!(of(found), first);

        let host = ("DOCKER_HOST", "tcp://env:2376");
        let verify = ("DOCKER_TLS_VERIFY", "1");
        let missing = Endpoint::discover("", None, &environment(&[user, host, verify]));
        assert!(matches!(missing, Err(EndpointError::Certificate(_))), "{missing:?}");
        certificates(&folder(".docker"));
        let found = Endpoint::discover("", None, &environment(&[user, host, verify])).unwrap();
        assert_eq!(of(found), folder(".docker"));

        certificates(&folder("named"));
        let path = folder("named");
        let named = ("DOCKER_CERT_PATH", path.to_str().unwrap());
        let found = Endpoint::discover("", None, &environment(&[user, host, verify, named]));
        assert_eq!(of(found.unwrap()), path);
        certificates(&folder("set"));
        let set = folder("set");
        let found = Endpoint::discover("tcp://set:1", Some(&set), &environment(&[user, verify]));
        assert_eq!(of(found.unwrap()), set);
    }

    #[test]
    fn an_engine_that_need_not_prove_who_it_is_is_refused() {
        let home = with_context(r#"{"Host":"tcp://far:2376","SkipTLSVerify":true}"#);
        let user = ("HOME", home.path().to_str().unwrap());
        let found = discover(&[user, ("DOCKER_CONTEXT", "far")], "");
        assert!(matches!(found, Err(EndpointError::Unverified(_))), "{found:?}");
    }

    #[test]
    fn what_is_no_address_is_said_so() {
        for address in
            ["npipe:////./pipe/docker", "docker", "unix://", "tcp://", "fd://3", "https://x"]
        {
            let found = discover(&[], address);
            assert!(matches!(found, Err(EndpointError::Address(_))), "{address}: {found:?}");
        }
        assert_eq!(discover(&[], "ssh://me@far:2222").unwrap(), "ssh://me@far:2222");
    }
}
