//! Rules that change while connections are open.

use armor_core::network::Verdict;
use tokio::io::AsyncWriteExt;

use crate::support::{Place, rest, server, until};

#[tokio::test]
async fn a_rule_that_denies_ends_what_is_open_and_one_that_allows_opens_what_was_closed() {
    let (port, _came) = server("\n", "pong\n").await;
    let rule = format!("127.0.0.1:{port}");
    let place = Place::new(&[]);
    let connect = format!("CONNECT {rule} HTTP/1.1\r\n\r\n");
    assert!(place.ask(&connect).await.starts_with("HTTP/1.1 403"));

    place.policy.send_modify(|policy| policy.set(rule.parse().unwrap(), Verdict::Allow));
    let mut stream = place.connect().await;
    stream.write_all(connect.as_bytes()).await.unwrap();
    until(&mut stream, "\r\n\r\n").await;
    // Another rule changes nothing for it.
    place.policy.send_modify(|policy| policy.set("a.example".parse().unwrap(), Verdict::Deny));
    stream.write_all(b"ping\n").await.unwrap();
    assert_eq!(until(&mut stream, "\n").await, "pong\n");

    place.policy.send_modify(|policy| policy.set(rule.parse().unwrap(), Verdict::Deny));
    stream.write_all(b"ping\n").await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}
