//! The network `egress`: a way out that leads to whoever has its other end, and no other (R54, R97).

use std::io::{Read, Write};
use std::net::TcpListener;

use armor_core::sandbox::{CommandExit, NetworkMode, Runtime, RuntimeError};
use armor_testkit::{engine, require_engine};

use crate::support::Place;

/// Takes the next connection, and answers it with this.
fn answer(listener: TcpListener, text: &'static str) -> tokio::task::JoinHandle<String> {
    tokio::task::spawn_blocking(move || {
        listener.set_nonblocking(false).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 1024];
        let length = stream.read(&mut asked).unwrap();
        let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    })
}

const GET: &str = "wget -q -T 60 -O - http://example.com/";

#[tokio::test]
async fn engine_programs_reach_whoever_has_the_other_end_of_the_way_out() {
    require_engine!();
    let place = Place::new();
    let sandbox = place.sandbox(&place.spec(NetworkMode::Egress)).await;
    let egress = place.runtime.egress(&sandbox).await.unwrap();
    let asked = answer(egress.listener, "hello");
    // By the variables that programs know.
    assert_eq!(place.sh(&sandbox, GET).await.stdout, "hello");
    assert!(asked.await.unwrap().starts_with("GET http://example.com/"), "it is asked as a proxy");
}

// A carrier that is killed loses no connection that it had not accepted.
#[tokio::test]
async fn engine_connections_wait_while_nobody_has_the_other_end() {
    require_engine!();
    let place = Place::new();
    let sandbox = place.sandbox(&place.spec(NetworkMode::Egress)).await;
    drop(place.runtime.egress(&sandbox).await.unwrap());
    let running = place.begin(&sandbox, place.request(&["/bin/sh", "-c", GET]));
    let connected = "until grep -q ':0C38 .* 01' /proc/net/tcp; do :; done";
    assert_eq!(place.sh(&sandbox, connected).await.exit, CommandExit::Code(0));
    let egress = place.runtime.egress(&sandbox).await.unwrap();
    let asked = answer(egress.listener, "late");
    assert_eq!(running.end().await.unwrap().exit, CommandExit::Code(0));
    asked.await.unwrap();
}

#[tokio::test]
async fn engine_the_way_out_ends_with_its_sandbox_and_is_there_again_after_a_restart() {
    require_engine!();
    let place = Place::new();
    let spec = place.spec(NetworkMode::Egress);
    let sandbox = place.sandbox(&spec).await;
    let egress = place.runtime.egress(&sandbox).await.unwrap();
    place.runtime.stop(&sandbox, std::time::Duration::ZERO).await.unwrap();
    egress.gone.await;
    place.runtime.start(&sandbox, &spec).await.unwrap();
    let egress = place.runtime.egress(&sandbox).await.unwrap();
    let _asked = answer(egress.listener, "again");
    assert_eq!(place.sh(&sandbox, GET).await.stdout, "again");
}

#[tokio::test]
async fn engine_no_command_takes_the_place_of_the_way_out() {
    require_engine!();
    let place = Place::new();
    let sandbox = place.sandbox(&place.spec(NetworkMode::Egress)).await;
    for address in ["127.0.0.1:3128", "0.0.0.0:3128"] {
        let ran = place.sh(&sandbox, &format!("timeout 5 httpd -f -p {address}")).await;
        assert_ne!(ran.exit, CommandExit::Code(143), "{address}: {}", ran.stderr);
        assert!(ran.stderr.contains("in use"), "{address}: {}", ran.stderr);
    }
    // Nor is there any for those who did not ask for one.
    let closed = place.sandbox(&place.spec(NetworkMode::None)).await;
    assert!(place.runtime.egress(&closed).await.is_err());
    let ran = place.sh(&closed, "nc -w 1 127.0.0.1 3128 </dev/null").await;
    assert_ne!(ran.exit, CommandExit::Code(0));
}

#[tokio::test]
async fn engine_without_a_runner_there_is_no_egress_and_nothing_is_left() {
    require_engine!();
    let [_, place] = Place::both();
    let error = place.runtime.create(&place.spec(NetworkMode::Egress)).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Unsupported { .. }), "{error:?}");
    assert_eq!(engine::left_of(place.home.as_str()).await, Vec::<String>::new());
}

// Asked for, and let by the settings: what the engine's machine reaches.
#[tokio::test]
async fn engine_open_reaches_the_host_and_leaves_no_network_behind() {
    require_engine!();
    let place = Place::new();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let spec = place.spec(NetworkMode::Open);
    let sandbox = place.sandbox(&spec).await;
    let route = "ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p'";
    let _asked = answer(listener, "host");
    let ran = place.sh(&sandbox, &format!("wget -q -T 20 -O - http://$({route}):{port}/")).await;
    assert_eq!(ran.stdout, "host", "{}", ran.stderr);
    place.runtime.remove(&spec.task).await.unwrap();
    assert_eq!(engine::left_of(place.home.as_str()).await, Vec::<String>::new());
}
