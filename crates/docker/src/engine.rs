//! The connection to the engine: made when first needed, each call with a limit of time, each
//! failure told in the words of the core.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::time::Duration;

use armor_core::id::SandboxId;
use armor_core::sandbox::{RuntimeError, RuntimeInfo, UserIds};
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerState};
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::sync::OnceCell;

use crate::Endpoint;
use crate::exec::gone_if_not_there;
use crate::far;
use crate::features::Features;
use crate::ssh::Dialer;

/// The API of Docker Engine 20.10, the oldest that the tests run on.
const OLDEST_API: (usize, usize) = (1, 41);
/// Time for what moves whole file systems: imports, builds, commits.
const LONG: Duration = Duration::from_mins(30);

/// An engine at an address.
#[derive(Debug)]
pub struct Engine {
    endpoint: Endpoint,
    timeout: Duration,
    connected: OnceCell<Connected>,
}

#[derive(Debug)]
struct Connected {
    docker: Docker,
    /// For uploads, whose answer comes only when all is taken in.
    patient: Docker,
    features: Features,
}

impl Engine {
    /// An engine that is looked for when it is first needed. `timeout` bounds each answer.
    pub fn new(endpoint: Endpoint, timeout: Duration) -> Self {
        Self { endpoint, timeout, connected: OnceCell::new() }
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How long an answer may take.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) async fn docker(&self) -> Result<&Docker, RuntimeError> {
        Ok(&self.connected().await?.docker)
    }

    pub(crate) async fn patient(&self) -> Result<&Docker, RuntimeError> {
        Ok(&self.connected().await?.patient)
    }

    /// What the engine is and can, as it was when it was first asked.
    pub(crate) async fn features(&self) -> Result<&Features, RuntimeError> {
        Ok(&self.connected().await?.features)
    }

    /// Who a user of a container is on this machine.
    pub(crate) async fn user_outside(&self, user: UserIds) -> Result<UserIds, RuntimeError> {
        self.features().await?.users.outside(user).ok_or(RuntimeError::Unsupported {
            feature: "users that may write to a task's files: it runs as a user itself",
            next_step: "Use an engine that root runs, also one with user namespaces (`userns-remap`), through DOCKER_HOST.",
        })
    }

    /// Asks the engine anew what it is.
    pub(crate) async fn probe(&self, outlives_us: bool) -> Result<RuntimeInfo, RuntimeError> {
        let docker = self.docker().await?;
        let Features { name, version, cgroup_version, security, .. } = self.ask(docker).await?;
        Ok(RuntimeInfo {
            name,
            version,
            api_version: docker.client_version().to_string(),
            endpoint: self.endpoint.to_string(),
            cgroup_version,
            outlives_us,
            security,
        })
    }

    async fn ask(&self, docker: &Docker) -> Result<Features, RuntimeError> {
        let info = self.call("describe itself", docker.info()).await?;
        let version = self.call("tell its version", docker.version()).await?;
        Ok(Features::of(&self.endpoint, &info, &version))
    }

    async fn connected(&self) -> Result<&Connected, RuntimeError> {
        self.connected.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Connected, RuntimeError> {
        let unavailable = |error: Error| self.translate("answer", error);
        let address = self.endpoint.to_string();
        let connect = |limit: Duration| {
            let (limit, version) = (limit.as_secs(), API_DEFAULT_VERSION);
            let docker = match &self.endpoint {
                Endpoint::Unix(_) => Docker::connect_with_unix(&address, limit, version),
                Endpoint::Tcp(_) => Docker::connect_with_http(&address, limit, version),
                Endpoint::Tls(host, files) => {
                    let connector = far::over_tls(files).map_err(|error| self.untrusted(error))?;
                    far::connect(connector, &format!("https://{host}"), limit, version)
                }
                Endpoint::Ssh(host) => {
                    far::connect(Dialer(host.clone()), "http://engine", limit, version)
                }
            };
            docker.map_err(unavailable)
        };
        let docker = self.call("agree on a version", connect(self.timeout)?.negotiate_version());
        let docker = docker.await?;
        let version = docker.client_version();
        if (version.major_version, version.minor_version) < OLDEST_API {
            return Err(RuntimeError::TooOld {
                feature: format!("the API version 1.41: it speaks {version}"),
            });
        }
        let features = self.ask(&docker).await?;
        Ok(Connected { docker, patient: connect(LONG)?, features })
    }

    /// What the engine says of a sandbox's container.
    pub(crate) async fn inspect(
        &self,
        sandbox: &SandboxId,
    ) -> Result<ContainerInspectResponse, RuntimeError> {
        let docker = self.docker().await?;
        let inspected = docker.inspect_container(sandbox.as_str(), None);
        let inspected = self.call("look at a container", inspected).await;
        let mut container = inspected.map_err(|error| gone_if_not_there(sandbox, error))?;
        self.features().await?.translate(&mut container);
        Ok(container)
    }

    /// Whether a sandbox is there and runs.
    pub(crate) async fn is_running(&self, sandbox: &SandboxId) -> Result<bool, RuntimeError> {
        Ok(self.state(sandbox).await?.and_then(|state| state.running) == Some(true))
    }

    /// Whether a sandbox is there and stands still.
    pub(crate) async fn is_paused(&self, sandbox: &SandboxId) -> Result<bool, RuntimeError> {
        Ok(self.state(sandbox).await?.and_then(|state| state.paused) == Some(true))
    }

    async fn state(&self, sandbox: &SandboxId) -> Result<Option<ContainerState>, RuntimeError> {
        match self.inspect(sandbox).await {
            Ok(container) => Ok(container.state),
            Err(RuntimeError::SandboxGone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for an answer, but not longer than allowed.
    pub(crate) async fn call<T>(
        &self,
        action: &'static str,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, RuntimeError> {
        self.call_within(self.timeout, action, answer).await
    }

    /// The same for what moves whole file systems, which takes its time.
    pub(crate) async fn call_patiently<T>(
        &self,
        action: &'static str,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, RuntimeError> {
        self.call_within(LONG, action, answer).await
    }

    async fn call_within<T>(
        &self,
        limit: Duration,
        action: &'static str,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, RuntimeError> {
        match tokio::time::timeout(limit, answer).await {
            Ok(Err(Error::RequestTimeoutError)) | Err(_) => {
                Err(RuntimeError::Timeout { action, limit })
            }
            Ok(answer) => answer.map_err(|error| self.translate(action, error)),
        }
    }

    /// Waits for what may need more than one answer, but not longer than for one.
    pub(crate) async fn within_limit<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, RuntimeError>>,
    ) -> Result<T, RuntimeError> {
        let done = tokio::time::timeout(self.timeout, work).await;
        done.unwrap_or(Err(RuntimeError::Timeout { action, limit: self.timeout }))
    }

    fn untrusted(&self, error: impl StdError + Send + Sync + 'static) -> RuntimeError {
        let endpoint = self.endpoint.to_string();
        RuntimeError::Untrusted { endpoint, source: Box::new(error) }
    }

    /// Tells an engine that is not there from one that refuses.
    pub(crate) fn translate(&self, action: &'static str, error: Error) -> RuntimeError {
        let endpoint = self.endpoint.to_string();
        if matches!(error, Error::RequestTimeoutError) {
            return RuntimeError::Timeout { action, limit: self.timeout };
        }
        match io_cause(&error).map(io::Error::kind) {
            // What the library for TLS says.
            Some(io::ErrorKind::InvalidData) if self.endpoint.is_an_address() => {
                self.untrusted(error)
            }
            Some(io::ErrorKind::PermissionDenied) => RuntimeError::AccessDenied { endpoint },
            Some(_) => RuntimeError::Unavailable { endpoint, source: Box::new(error) },
            None => match error {
                Error::DockerResponseServerError { status_code: 400, ref message }
                    if message.contains("HTTPS server") =>
                {
                    self.untrusted(error)
                }
                Error::SocketNotFoundError(_)
                | Error::UnsupportedURISchemeError { .. }
                | Error::HyperLegacyError { .. }
                | Error::InvalidURIError { .. } => {
                    RuntimeError::Unavailable { endpoint, source: Box::new(error) }
                }
                error => RuntimeError::Engine { action, source: Box::new(error) },
            },
        }
    }
}

fn io_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut cause: Option<&'a (dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(mut io) = error.downcast_ref::<io::Error>() {
            // One that another one holds is not among the sources.
            while let Some(inner) = io.get_ref().and_then(|inner| inner.downcast_ref()) {
                io = inner;
            }
            return Some(io);
        }
        cause = error.source();
    }
    None
}

/// The HTTP status of an answer that refuses.
pub(crate) fn status(error: &RuntimeError) -> Option<u16> {
    let RuntimeError::Engine { source, .. } = error else {
        return None;
    };
    match source.downcast_ref::<Error>() {
        Some(Error::DockerResponseServerError { status_code, .. }) => Some(*status_code),
        _ => None,
    }
}
