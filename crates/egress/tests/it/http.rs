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
    place.end.notify_one();
    place.serving.await.unwrap();
    let counted = NetworkEvent::Allowed {
        to: format!("127.0.0.1:{port}"),
        connections: 1,
        sent_bytes: 10,
        received_bytes: 10,
    };
    assert_eq!(place.ledger.take(), [counted]);
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
async fn connections_end_with_the_proxy_and_are_counted_then() {
    let (port, came) = server("\n", "pong\n").await;
    let place = Place::new(&[&format!("127.0.0.1:{port}")]);
    let mut stream = place.connect().await;
    stream
        .write_all(format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nping\n").as_bytes())
        .await
        .unwrap();
    until(&mut stream, "pong\n").await;
    place.end.notify_one();
    place.serving.await.unwrap();
    let counted = NetworkEvent::Allowed {
        to: format!("127.0.0.1:{port}"),
        connections: 1,
        sent_bytes: 5,
        received_bytes: 5,
    };
    assert_eq!(place.ledger.take(), [counted]);
    assert_eq!(rest(&mut stream).await, "");
    assert_eq!(came.await.unwrap(), ["ping\n"]);
}

// R98: what is written down says where to, and nothing else.
#[tokio::test]
async fn nothing_that_could_be_a_secret_is_written_down() {
    let place = Place::new(&[]);
    for request in [
        "GET https://api.example/path?token=secret HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://user:secret@api.example/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT user:secret@api.example:443 HTTP/1.1\r\n\r\n",
        "GET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://api.example/secret HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        place.ask(request).await;
    }
    let events = format!("{:?}", place.ledger.take());
    assert!(events.contains("api.example") && !events.contains("secret"), "{events}");
}

#[tokio::test]
async fn the_length_of_a_request_goes_on_as_it_was_said() {
    for (said, goes_on) in [
        ("Content-Length: 0\r\n\r\n", "content-length: 0"),
        ("Content-Length: 4\r\n\r\nbody", "content-length: 4"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "transfer-encoding: chunked"),
    ] {
        for method in ["POST", "GET"] {
            let (port, came) = server("\r\n\r\n", EMPTY).await;
            let place = Place::new(&[&format!("127.0.0.1:{port}")]);
            let request =
                format!("{method} http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n{said}");
            let answer = place.ask(request).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{method} {said}: {answer}");
            place.end.notify_one();
            place.serving.await.unwrap();
            let came = came.await.unwrap();
            assert!(came[0].contains(goes_on), "{method} {said}: {came:?}");
            assert_eq!(came[0].matches("length").count() + came[0].matches("chunked").count(), 1);
        }
    }
}
