//! What the runner tells of its sandbox.

use armor_runner::{Answer, Request};
use armor_testkit::require_engine;

use crate::support::Sandbox;

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
