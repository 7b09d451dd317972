//! A program that people use, through the proxy, with the public registry that this project is built
//! from.

use std::process::Stdio;

use tokio::process::Command;

use crate::support::Place;

#[tokio::test]
async fn cargo_fetches_a_crate_through_the_proxy_if_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[package]\nname = \"a\"\nedition = \"2024\"\n[dependencies]\nitoa = \"1\"\n";
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/lib.rs"), "").unwrap();
    for (allowed, is_fetched) in [(&["static.crates.io"][..], false), (&["preset:cargo"], true)] {
        let place = Place::with_real_names(allowed);
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["fetch", "--quiet"]).current_dir(folder.path());
        cargo.env("CARGO_HOME", folder.path().join("cargo"));
        cargo.env("CARGO_HTTP_PROXY", format!("http://{}", place.address));
        cargo.env("CARGO_NET_RETRY", "0");
        let done = cargo.stdin(Stdio::null()).output().await.unwrap();
        assert_eq!(
            done.status.success(),
            is_fetched,
            "{:?} {}",
            place.ledger.take(),
            String::from_utf8_lossy(&done.stderr)
        );
    }
}
