//! What the runner tells of its sandbox, and what it does when it is asked something that it does not know.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use armor_runner::{Answer, Request, SOCKET};
use armor_testkit::require_engine;

use crate::support::{Sandbox, sh, text};

// R45
#[tokio::test]
async fn engine_the_runner_tells_what_it_sees_of_its_sandbox() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let mut connection = sandbox.connect().await;
    let places = ["/run/armor/host", "/nowhere", "/proc/self/.."].map(str::to_owned).to_vec();
    connection.ask(&Request::Inspect { places }, &[]).await.unwrap();
    let facts = match connection.answer().await.unwrap() {
        Answer::Facts(facts) => facts,
        answer => panic!("{answer:?}"),
    };
    assert_eq!(facts.pid, 1);
    let status = facts.status.unwrap();
    assert!(status.contains("\nUid:\t10001\t10001\t10001\t10001\n"), "{status}");
    assert!(status.contains("\nNoNewPrivs:\t1\n"), "{status}");
    let mounts = facts.mounts.unwrap();
    assert!(mounts.contains(" / / ro"), "{mounts}");
    assert!(mounts.contains(" /run/armor/runner ro"), "{mounts}");
    assert!(mounts.contains(" /run/armor/host rw"), "{mounts}");
    let interfaces = facts.interfaces.unwrap();
    assert!(interfaces.contains("lo:") && !interfaces.contains("eth0:"), "{interfaces}");
    assert!(facts.open_files.is_some());
    let (pids, memory) = (facts.limits.pids.unwrap(), facts.limits.memory.unwrap());
    assert_eq!((pids.trim(), memory.trim()), ("64", (64 << 20).to_string().as_str()));
    assert_eq!(facts.places, [Some("/run/armor/host".to_owned()), None, Some("/proc".to_owned())]);
}

#[tokio::test]
async fn engine_a_request_that_the_runner_does_not_know_ends_its_connection_and_nothing_else() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let mut other = UnixStream::connect(sandbox.shared().join(SOCKET)).unwrap();
    other.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = br#"{"request":"of_tomorrow"}"#;
    other.write_all(&u32::try_from(request.len()).unwrap().to_le_bytes()).unwrap();
    other.write_all(request).unwrap();
    let mut heard = Vec::new();
    other.read_to_end(&mut heard).unwrap();
    assert!(String::from_utf8_lossy(&heard).contains("protocol"), "the greeting, and no more");
    assert_eq!(text(&sandbox.run("e1", sh("echo on")).await.stdout), "on\n");
}
