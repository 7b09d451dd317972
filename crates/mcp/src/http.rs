//! Serving any number of clients over Streamable HTTP, at `/mcp`, and figures for a collector at
//! `/metrics`.
//!
//! Only on loopback: there is no authentication. Requests with an `Origin` are refused, so that no
//! page in a browser can reach the server, and so are those for another host's name.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use armor_core::error::{Code, Diagnostic, Report};
use armor_lifecycle::Lifecycle;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// The largest request, in bytes: a long standard input, and room for the rest.
const BODY_LIMIT: usize = 16 << 20;
/// <https://prometheus.io/docs/specs/om/open_metrics_spec/#overall-structure>
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long calls may go on once the server is told to end.
const GRACE: Duration = Duration::from_secs(2);
/// How long connections then have to be written out.
const DRAIN: Duration = Duration::from_millis(500);

/// The server could not be run.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is one that others reach.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened at.
    #[error("{address} cannot be listened at")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Serving failed.
    #[error("the server ended unexpectedly")]
    Serve(#[source] io::Error),
}

impl Diagnostic for HttpError {
    fn code(&self) -> Code {
        match self {
            Self::NotLoopback(_) | Self::Listen { .. } => Code::ArgumentInvalid,
            Self::Serve(_) => Code::Internal,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::NotLoopback(_) => Some(
                "Listen at 127.0.0.1, and reach it from elsewhere through an SSH tunnel."
                    .to_owned(),
            ),
            Self::Listen { .. } => Some("Choose another port.".to_owned()),
            Self::Serve(_) => None,
        }
    }
}

/// The figures of this moment. What a page in a browser could ask for is refused.
async fn metrics(State(lifecycle): State<Lifecycle>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if headers.contains_key(header::ORIGIN) || !is_loopback(host) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match armor_commands::metrics(&lifecycle).await {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(error = %Report::of(&error), "no figures could be given");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// Whether a `Host` names this machine for itself.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Listens at `address` and serves until `stop` is cancelled. `listening` is told the URL first.
/// Commands that run at the end go on in their sandboxes.
///
/// # Errors
/// When the address is not a loopback one, or cannot be listened at.
pub async fn serve_http(
    lifecycle: Lifecycle,
    address: SocketAddr,
    stop: CancellationToken,
    listening: impl FnOnce(&str),
) -> Result<(), HttpError> {
    if !address.ip().is_loopback() {
        return Err(HttpError::NotLoopback(address));
    }
    let cannot_listen = |source| HttpError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let local = listener.local_addr().map_err(cannot_listen)?;

    let stopping = CancellationToken::new();
    let calls = CancellationToken::new();
    let server = Server::new(lifecycle.clone(), stopping.clone());
    let config = StreamableHttpServerConfig::default()
        // No session, also for clients of the older revisions: tasks are named in the arguments.
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .enforce_origin_validation()
        .with_max_request_body_bytes(BODY_LIMIT)
        .with_cancellation_token(calls.clone());
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let app = Router::new()
        .route_service("/mcp", service)
        .route("/metrics", get(metrics))
        .with_state(lifecycle);
    listening(&format!("http://{local}/mcp"));

    let accept = stop.clone();
    let serving = axum::serve(listener, app).with_graceful_shutdown(accept.cancelled_owned());
    let ending = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
        // Ours first: calls answer that the server stops. Then the protocol's own.
        stopping.cancel();
        tokio::time::sleep(DRAIN).await;
        calls.cancel();
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = async { serving.await } => served.map_err(HttpError::Serve),
        () = ending => Ok(()),
    }
}
