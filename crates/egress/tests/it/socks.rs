//! SOCKS5.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Place, server, until};

/// Says hello and asks; gives the reply's code.
async fn ask(stream: &mut TcpStream, command: u8, address: &[u8], port: u16) -> u8 {
    stream.write_all(&[5, 1, 0]).await.unwrap();
    assert_eq!((stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap()), (5, 0));
    stream.write_all(&[5, command, 0]).await.unwrap();
    stream.write_all(address).await.unwrap();
    stream.write_u16(port).await.unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await.unwrap();
    reply[1]
}

fn name(name: &str) -> Vec<u8> {
    let mut bytes = vec![3, u8::try_from(name.len()).unwrap()];
    bytes.extend(name.as_bytes());
    bytes
}

#[tokio::test]
async fn names_and_addresses_that_are_allowed_are_reached_and_others_are_not() {
    let (port, _came) = server("\n", "pong\n").await;
    let place = Place::new(&[&format!("127.0.0.1:{port}"), &format!("inner.example:{port}")]);
    place.answer(&["127.0.0.1"]);
    let mut stream = place.connect().await;
    assert_eq!(ask(&mut stream, 1, &name("inner.example"), port).await, 0);
    stream.write_all(b"ping\n").await.unwrap();
    assert_eq!(until(&mut stream, "\n").await, "pong\n");

    // Not allowed: code 2 of RFC 1928.
    for address in [name("other.example"), vec![1, 127, 0, 0, 2]] {
        let mut stream = place.connect().await;
        assert_eq!(ask(&mut stream, 1, &address, port).await, 2);
    }
    // Neither listening nor datagrams: code 7. No name at all: code 8.
    for command in [2, 3] {
        let mut stream = place.connect().await;
        assert_eq!(ask(&mut stream, command, &[1, 127, 0, 0, 1], port).await, 7);
    }
    let mut stream = place.connect().await;
    assert_eq!(ask(&mut stream, 1, &name("127.1"), port).await, 8);
}
