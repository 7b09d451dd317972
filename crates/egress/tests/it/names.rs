//! Names lead nowhere but where they may, however they are answered.

use armor_core::event::NetworkEvent;
use armor_core::network::Refusal;

use crate::support::{Place, server};

fn request(host: &str, port: u16) -> String {
    format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n")
}

// No way out by asking for names: those of others' data, say.
#[tokio::test]
async fn a_name_is_not_looked_up_unless_a_rule_allows_it() {
    let place = Place::new(&["example.com"]);
    for host in ["secret-data.evil.example", "a.example.com", "example.com.evil.example"] {
        assert!(place.ask(request(host, 80)).await.starts_with("HTTP/1.1 403"));
    }
    assert_eq!(*place.names.asked.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_that_is_answered_with_this_machine_or_a_private_address_is_refused() {
    let (port, came) = server("\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n").await;
    let place = Place::new(&["example.com:*"]);
    let own = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the kernel says from where it would be.
    own.connect("1.1.1.1:9").unwrap();
    let own = own.local_addr().unwrap().ip().to_string();
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1", &own] {
        place.answer(&[address]);
        let answer = place.ask(request("example.com", port)).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{address}: {answer}");
        let events = place.ledger.take();
        assert!(
            matches!(events[..], [NetworkEvent::Denied { reason: Refusal::Private, .. }]),
            "{address}: {events:?}"
        );
    }
    came.abort();
}

// Rebinding: judged is what is connected to, not another answer.
#[tokio::test]
async fn a_name_is_looked_up_once_and_only_judged_addresses_are_connected_to() {
    let (port, came) = server("\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let place = Place::new(&[&format!("example.com:{port}"), &format!("127.0.0.1:{port}")]);
    // The first is refused and not tried, the second may be.
    place.answer(&["127.0.0.2", "127.0.0.1"]);
    place.answer(&["127.0.0.2"]);
    let answer = place.ask(request("example.com", port)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(*place.names.asked.lock().unwrap(), ["example.com"]);
    assert_eq!(came.await.unwrap().len(), 1);
    // The next connection asks again, and is judged again.
    let answer = place.ask(request("example.com", port)).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn a_name_without_an_address_and_a_host_without_a_server_are_told() {
    let place = Place::new(&["example.com:*", "127.0.0.1:1"]);
    let answer = place.ask(request("example.com", 80)).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let answer = place.ask(request("127.0.0.1", 1)).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let events = place.ledger.take();
    assert!(events.iter().all(|event| matches!(event, NetworkEvent::Failed { times: 1, .. })));
    assert_eq!(events.len(), 2, "{events:?}");
}
