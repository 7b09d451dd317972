//! Networks `none`, `internal` and `egress`: no way out of their own, nobody else there (R54, R97).

use armor_core::sandbox::{CommandExit, NetworkMode, Runtime};
use armor_testkit::{engine, host_addresses, require_engine};
use tokio::net::TcpListener;

use crate::support::Place;

#[tokio::test]
async fn engine_neither_the_internet_nor_the_host_nor_a_name_is_reached() {
    require_engine!();
    let place = Place::new();
    // A service of the host's that listens everywhere.
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for network in [NetworkMode::None, NetworkMode::Internal, NetworkMode::Egress] {
        let sandbox = place.sandbox(&place.spec(network)).await;
        let mut targets = vec![
            // The distribution's mirror by name, public addresses, the metadata service.
            "deb.debian.org 80".to_owned(),
            "1.1.1.1 53".to_owned(),
            "169.254.169.254 80".to_owned(),
        ];
        let hosts = host_addresses();
        assert!(!hosts.is_empty());
        targets.extend(hosts.iter().map(|host| format!("{host} {port}")));
        // Where a bridge would have its own address.
        let own = place.sh(&sandbox, "ip -4 -o addr show").await.stdout;
        for line in own.lines().filter(|line| !line.contains("127.0.0.1")) {
            let address = line.split_whitespace().nth(3).unwrap().split('/').next().unwrap();
            let (net, last) = address.rsplit_once('.').unwrap();
            let first = last.parse::<u8>().unwrap() / 16 * 16 + 1;
            targets.push(format!("{net}.{first} {port}"));
        }
        for target in targets {
            let ran = place.sh(&sandbox, &format!("nc -w 1 {target} </dev/null")).await;
            assert_ne!(ran.exit, CommandExit::Code(0), "{network} reaches {target}");
        }
        let name = place.sh(&sandbox, "timeout 3 nslookup deb.debian.org").await;
        assert_ne!(name.exit, CommandExit::Code(0), "{network} resolves names: {}", name.stdout);
    }
}

#[tokio::test]
async fn engine_internal_tasks_do_not_see_each_other() {
    require_engine!();
    let place = Place::new();
    let (one, two) = (place.spec(NetworkMode::Internal), place.spec(NetworkMode::Internal));
    let (first, second) = (place.sandbox(&one).await, place.sandbox(&two).await);
    place.sh(&first, "echo seen > index.html").await;
    let listening = place.request(&["/bin/httpd", "-f", "-p", "9000"]);
    let _listening = place.begin(&first, listening);

    let docker = engine::docker();
    let container = docker.inspect_container(first.as_str(), None).await.unwrap();
    let networks = container.network_settings.unwrap().networks.unwrap();
    let address = networks.into_values().next().unwrap().ip_address.unwrap();
    // It listens: the sandbox itself gets through.
    let get = |host: &str| format!("wget -q -T 1 -O - http://{host}:9000/");
    let own = format!("i=0; until {}; do i=$((i+1)); [ $i -gt 50 ] && exit 1; done", get(&address));
    assert_eq!(place.sh(&first, &own).await.stdout, "seen\n");

    for target in [address, format!("armor-{}-{}", place.home, one.task)] {
        let ran = place.sh(&second, &get(&target)).await;
        assert_ne!(ran.exit, CommandExit::Code(0), "{target} is reached: {}", ran.stdout);
    }
}

#[tokio::test]
async fn engine_more_internal_tasks_than_the_default_pool_has_networks() {
    require_engine!();
    let place = Place::new();
    let mut specs = Vec::new();
    for _ in 0..36 {
        let spec = place.spec(NetworkMode::Internal);
        place.runtime.create(&spec).await.unwrap();
        specs.push(spec);
    }
    for spec in &specs {
        place.runtime.remove(&spec.task).await.unwrap();
    }
    assert_eq!(engine::left_of(place.home.as_str()).await, Vec::<String>::new());
}
