//! HTTP: `CONNECT`, and plain requests in the form that a proxy is asked in (RFC 9112, section 3.2).
//!
//! A request is taken apart and made anew, so what goes on is what was judged: where it goes is said
//! by its target alone, its length by how much came, and what concerns one connection only is left out.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use armor_core::network::{Destination, Refusal};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version, client, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::connection::PATIENCE;
use crate::gate::{Gate, Stopped};
use crate::relay::relay;
use crate::upstream::Upstream;

type Body = Either<Full<Bytes>, Incoming>;

/// What concerns a connection and not a message (RFC 9110, section 7.6.1), or is meant for us.
static OF_A_CONNECTION: [HeaderName; 10] = [
    header::CONNECTION,
    header::EXPECT,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The longest head of a message, in bytes; so much is held of each connection.
const BUFFER: usize = 64 << 10;

pub(crate) async fn serve(stream: TcpStream, gate: Gate) {
    let end = gate.end.child_token();
    let session = Session { gate, tunnel: Mutex::default(), end: end.clone() };
    // With the connection, whatever ends it.
    let _end = end.drop_guard();
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(session.answer(request).await) });
    let served = server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection by HTTP ended");
    }
    let tunnel = session.tunnel.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((upgrade, upstream)) = tunnel
        && let Ok(upgraded) = upgrade.await
        && let Err(error) = relay(TokioIo::new(upgraded), upstream).await
    {
        tracing::debug!(%error, "a tunnel ended");
    }
}

/// A program's connection. All that goes on for it ends with it.
#[derive(Debug)]
struct Session {
    gate: Gate,
    /// What comes behind an answer to `CONNECT`, the last one of a connection.
    tunnel: Mutex<Option<(OnUpgrade, Upstream)>>,
    /// Ends the connections of plain requests, of whose answers the rest may still come.
    end: CancellationToken,
}

impl Session {
    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        let Some(destination) = destination(&request) else {
            self.gate.malformed(&asked_for(request.uri()));
            return say(
                StatusCode::BAD_REQUEST,
                "this is a proxy: ask for a whole http:// address, or CONNECT to host:port",
            );
        };
        let upstream = match self.gate.connect(&destination).await {
            Ok(upstream) => upstream,
            Err(Stopped::Refused(reason)) => {
                return say(StatusCode::FORBIDDEN, &refusal(&destination, reason));
            }
            Err(Stopped::Failed(error)) => {
                let text = format!("{destination} cannot be reached: {error}");
                return say(StatusCode::BAD_GATEWAY, &text);
            }
        };
        if request.method() == Method::CONNECT {
            let upgrade = hyper::upgrade::on(&mut request);
            *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, upstream));
            return Response::new(Either::Left(Full::default()));
        }
        self.forward(request, upstream).await.unwrap_or_else(|error| {
            say(StatusCode::BAD_GATEWAY, &format!("{destination} broke off: {error}"))
        })
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        upstream: Upstream,
    ) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = target.parse::<Uri>()?;
        *request.version_mut() = Version::HTTP_11;
        let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        keep_what_is_the_messages(request.headers_mut());
        // How long it is, is told anew, in one way and once.
        let length = request.headers_mut().remove(header::CONTENT_LENGTH);
        match (is_chunked, length, request.body().size_hint().exact()) {
            (true, _, _) => {
                let chunked = HeaderValue::from_static("chunked");
                request.headers_mut().insert(header::TRANSFER_ENCODING, chunked);
            }
            (false, Some(_), Some(length)) => {
                request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            }
            _ => {}
        }
        request.headers_mut().insert(header::HOST, HeaderValue::from_str(&host)?);
        let (mut sender, connection) = client::conn::http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(upstream))
            .await?;
        let end = self.end.clone();
        self.gate.beside.spawn(async move {
            if let Some(Err(error)) = end.run_until_cancelled(connection).await {
                tracing::debug!(%error, "a connection for a request ended");
            }
        });
        let mut response = sender.send_request(request).await?;
        if response.headers().contains_key(header::TRANSFER_ENCODING) {
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        keep_what_is_the_messages(response.headers_mut());
        Ok(response.map(Either::Right))
    }
}

/// Where a request is to go. What its `Host` says does not count.
fn destination(request: &Request<Incoming>) -> Option<Destination> {
    let uri = request.uri();
    let authority = uri.authority()?.as_str();
    if request.method() == Method::CONNECT {
        return authority.parse().ok();
    }
    if uri.scheme_str() != Some("http") {
        return None;
    }
    match uri.port() {
        Some(_) => authority.parse().ok(),
        None => format!("{}:80", authority.trim_end_matches(':')).parse().ok(),
    }
}

/// What a refused program is told, and whoever reads it there.
fn refusal(destination: &Destination, reason: Refusal) -> String {
    let next = match reason {
        Refusal::NotAllowed => {
            format!(
                "`armor network allow <task> {destination}`, given by a person, lets it through"
            )
        }
        Refusal::Denied => "`armor network show <task>` has the rule".to_owned(),
        Refusal::Private => {
            "`armor network allow <task> <address>:<port>`, given by a person, lets it through"
                .to_owned()
        }
        Refusal::Malformed => "ask for a host and a port".to_owned(),
    };
    format!("{destination} is refused to this task: {reason}. {next}.")
}

/// What may be written down of what a program asked for: nothing that could be a secret.
fn asked_for(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    match uri.scheme_str() {
        Some(scheme) => format!("{scheme}://{host}"),
        None if host.is_empty() => "no host".to_owned(),
        None => host.to_owned(),
    }
}

fn keep_what_is_the_messages(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_A_CONNECTION) {
        headers.remove(name);
    }
}

fn say(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(format!("armor: {text}\n"))));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
