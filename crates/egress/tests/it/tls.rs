//! Names that are asked for inside TLS.

use std::net::Ipv4Addr;

use armor_core::event::NetworkEvent;
use armor_core::network::Refusal;
use armor_testkit::client_hello;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{Place, rest, until};

/// A server that takes one connection, and all that comes of it.
async fn taker() -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = Vec::new();
        // Whoever is cut off sees an error, or an end.
        let _ended = stream.read_to_end(&mut all).await;
        all
    });
    (port, came)
}

/// Says `bytes` in a tunnel to `inner.example`, in two pieces. Gives what the server got, what came
/// back, and what was noted.
async fn say(bytes: &[u8]) -> (Vec<u8>, String, Vec<NetworkEvent>) {
    let (port, came) = taker().await;
    let rules =
        ["127.0.0.1", "inner.example", "other.example"].map(|host| format!("{host}:{port}"));
    let place = Place::new(&rules.each_ref().map(String::as_str));
    place.answer(&["127.0.0.1"]);
    let mut stream = place.connect().await;
    let connect = format!("CONNECT inner.example:{port} HTTP/1.1\r\n\r\n");
    stream.write_all(connect.as_bytes()).await.unwrap();
    assert!(until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    let (first, second) = bytes.split_at(bytes.len() / 2);
    stream.write_all(first).await.unwrap();
    stream.flush().await.unwrap();
    // What was cut off already takes no more.
    let _said = stream.write_all(second).await;
    let _ended = stream.shutdown().await;
    let said = rest(&mut stream).await;
    let came = came.await.unwrap();
    place.end.notify_one();
    place.serving.await.unwrap();
    let port = format!(":{port}");
    let events = place.ledger.take().into_iter().map(|event| match event {
        NetworkEvent::Denied { to, reason, times } => {
            NetworkEvent::Denied { to: to.replace(&port, ""), reason, times }
        }
        other => other,
    });
    (came, said, events.collect())
}

fn denied(events: &[NetworkEvent]) -> Vec<(&str, Refusal)> {
    let denied = events.iter().filter_map(|event| match event {
        NetworkEvent::Denied { to, reason, .. } => Some((to.as_str(), *reason)),
        _ => None,
    });
    denied.collect()
}

// R54
#[tokio::test]
async fn a_name_that_no_rule_allows_is_not_asked_for_inside_tls_either() {
    for allowed in ["inner.example", "other.example"] {
        let bytes = client_hello(allowed);
        let (came, _, events) = say(&bytes).await;
        assert_eq!(came, bytes);
        assert_eq!(denied(&events), []);
    }
    let (came, said, events) = say(&client_hello("evil.example")).await;
    assert_eq!((came, said.as_str()), (Vec::new(), ""));
    let refused = ("evil.example inside inner.example", Refusal::NotAllowed);
    assert_eq!(denied(&events), [refused]);
}

#[tokio::test]
async fn what_only_begins_as_tls_does_not_go_on_and_other_protocols_do() {
    let mut broken = client_hello("inner.example");
    broken[5] = 99;
    let (came, _, events) = say(&broken).await;
    assert_eq!(came, b"");
    assert_eq!(denied(&events), [("TLS inside inner.example", Refusal::Malformed)]);
    for other in [&b"SSH-2.0-program\r\n"[..], b"", b"\x16", &client_hello("inner.example")[..40]] {
        let (came, _, events) = say(other).await;
        assert_eq!((came.as_slice(), denied(&events)), (other, Vec::new()));
    }
}
