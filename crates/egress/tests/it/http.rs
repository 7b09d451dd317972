//! HTTP: tunnels and plain requests.

use armor_core::event::NetworkEvent;
use armor_core::network::Refusal;
use tokio::io::AsyncWriteExt;

use crate::support::{Place, rest, server, until};

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\nx-kept: 1\r\nkeep-alive: timeout=5\r\n\r\nok";

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_they_are_counted() {
    let (port, came) = server("\n", "pong\n").await;
    let place = Place::new(&[&format!("127.0.0.1:{port}")]);
    let mut stream = place.connect().await;
    stream
        .write_all(format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n").as_bytes())
        .await
        .unwrap();
    assert!(until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    for _ in 0..2 {
        stream.write_all(b"ping\n").await.unwrap();
        assert_eq!(until(&mut stream, "\n").await, "pong\n");
    }
    drop(stream);
    assert_eq!(came.await.unwrap(), ["ping\n", "ping\n"]);
    let mut events = place.ledger.take();
    while events.iter().all(|event| !matches!(event, NetworkEvent::Allowed { sent_bytes: 10, .. }))
    {
        tokio::task::yield_now().await;
        events = place.ledger.take();
    }
    assert!(matches!(events[0], NetworkEvent::Allowed { received_bytes: 10, .. }), "{events:?}");
}

#[tokio::test]
async fn what_no_rule_allows_is_refused_with_what_to_do_about_it() {
    let (port, _came) = server("\r\n\r\n", EMPTY).await;
    let place = Place::new(&["example.com"]);
    for request in [
        format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n"),
        format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nhost: example.com\r\n\r\n"),
    ] {
        let answer = place.ask(request).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(
            answer.contains(&format!("armor network allow <task> 127.0.0.1:{port}")),
            "{answer}"
        );
    }
    let denied = NetworkEvent::Denied {
        to: format!("127.0.0.1:{port}"),
        reason: Refusal::NotAllowed,
        times: 2,
    };
    assert_eq!(place.ledger.take(), [denied]);
}

// What goes on is made anew: nothing of one request becomes another one.
#[tokio::test]
async fn a_plain_request_goes_where_its_target_says_without_what_concerns_the_proxy() {
    let (port, came) = server("\r\n\r\n", EMPTY).await;
    let place = Place::new(&[&format!("127.0.0.1:{port}")]);
    let answer = place
        .ask(format!(
            "GET http://127.0.0.1:{port}/a?b HTTP/1.1\r\nHost: inner.example\r\nProxy-Authorization: x\r\nConnection: X-Mine, close\r\nX-Mine: 1\r\nUpgrade: h2c\r\nTE: trailers\r\nX-Kept: 1\r\n\r\n"
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    assert!(answer.contains("x-kept: 1") && !answer.contains("keep-alive"), "{answer}");
    let came = came.await.unwrap();
    let lines: Vec<_> = came[0].trim_end().split("\r\n").collect();
    let host = format!("host: 127.0.0.1:{port}");
    assert_eq!(lines[0], "GET /a?b HTTP/1.1");
    let mut headers = lines[1..].to_vec();
    headers.sort_unstable();
    assert_eq!(headers, [host.as_str(), "x-kept: 1"]);
}

#[tokio::test]
async fn requests_whose_length_is_said_twice_reach_nobody_as_two() {
    for body in [
        // Length and chunks; two lengths; chunks that are none.
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: x\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 40\r\n\r\nGET /secret HTTP/1.1\r\nHost: x\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\nGET /secret HTTP/1.1\r\nHost: x\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let (port, came) = server("\r\n\r\n", EMPTY).await;
        let place = Place::new(&[&format!("127.0.0.1:{port}")]);
        let request = format!("POST http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n{body}");
        let answer = place.ask(request).await;
        // Nobody came at all, or whoever came brought one request.
        if answer.starts_with("HTTP/1.1 200") {
            let came = came.await.unwrap().concat();
            assert!(!came.contains("GET /secret"), "{body}: {came}");
        } else {
            assert!(answer.starts_with("HTTP/1.1 400"), "{body}: {answer}");
            came.abort();
        }
    }
}

#[tokio::test]
async fn what_is_no_request_to_a_proxy_is_refused() {
    let place = Place::new(&["*:*"]);
    for target in [
        "GET / HTTP/1.1\r\nHost: example.com",
        "GET https://example.com/ HTTP/1.1\r\nHost: example.com",
        "GET http://user@example.com/ HTTP/1.1\r\nHost: example.com",
        "GET http://127.1/ HTTP/1.1\r\nHost: 127.1",
        "GET http://0x7f000001/ HTTP/1.1\r\nHost: a",
        "GET http://2130706433/ HTTP/1.1\r\nHost: a",
        "CONNECT example.com HTTP/1.1",
        "CONNECT example.com:0 HTTP/1.1",
        "CONNECT example.com:443@other.example:443 HTTP/1.1",
        "OPTIONS * HTTP/1.1\r\nHost: a",
    ] {
        let answer = place.ask(format!("{target}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{target}: {answer}");
    }
    assert_eq!(*place.names.asked.lock().unwrap(), Vec::<String>::new());
    let events = place.ledger.take();
    let is_malformed = |event: &NetworkEvent| {
        matches!(event, NetworkEvent::Denied { reason: Refusal::Malformed, .. })
    };
    assert!(!events.is_empty() && events.iter().all(is_malformed), "{events:?}");
}

#[tokio::test]
async fn connections_end_with_the_proxy() {
    let (port, came) = server("\n", "pong\n").await;
    let place = Place::new(&[&format!("127.0.0.1:{port}")]);
    let mut stream = place.connect().await;
    stream
        .write_all(format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n").as_bytes())
        .await
        .unwrap();
    until(&mut stream, "\r\n\r\n").await;
    place.serving.abort();
    assert_eq!(rest(&mut stream).await, "");
    assert_eq!(came.await.unwrap(), Vec::<String>::new());
}
