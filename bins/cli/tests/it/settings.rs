//! Configuration and the doctor (R4).

use armor_testkit::Home;

use crate::support::{armor, json, refused};

#[test]
fn every_setting_is_shown_with_its_origin() {
    let home = Home::new().with("ARMOR_SANDBOX_PIDS", "77");
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("armor.toml"), "[execution]\nreply_kib = 5\n").unwrap();
    std::fs::write(home.user().join(".armor.toml"), "[execution]\ntimeout_seconds = 6\n").unwrap();
    let shown = json(&home, &["config", "show", "--set", "sandbox.tmp_mib=8"]);
    let entry = |key: &str| {
        let entries = shown["settings"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["key"] == key).unwrap();
        format!("{} {}", entry["value"], entry["origin"]["from"].as_str().unwrap())
    };
    assert_eq!(entry("execution.reply_kib"), "5 home_file");
    assert_eq!(entry("execution.timeout_seconds"), "6 project_file");
    assert_eq!(entry("sandbox.pids"), "77 variable");
    assert_eq!(entry("sandbox.tmp_mib"), "8 flag");
    assert_eq!(entry("sandbox.cpu_millis"), "2000 default");
    let text = armor(&home, &["config", "show"]).out;
    assert!(text.contains("$ARMOR_SANDBOX_PIDS"), "{text}");
}

#[test]
fn a_setting_that_cannot_be_used_is_named_with_what_to_do() {
    let home = Home::new();
    assert_eq!(refused(&home, &["list-tasks", "--set", "sandbox.pid=9"], 2), "config.unknown_key");
    assert_eq!(refused(&home, &["list-tasks", "--set", "sandbox.pids=x"], 2), "config.invalid");
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("armor.toml"), "[sandbox\n").unwrap();
    assert_eq!(refused(&home, &["list-tasks"], 2), "config.unreadable");
    std::fs::write(home.path().join("armor.toml"), "").unwrap();
    std::fs::write(home.user().join(".armor.toml"), "[engine]\nhost = \"tcp://evil\"").unwrap();
    assert_eq!(refused(&home, &["list-tasks"], 2), "config.invalid");
}

#[test]
fn without_an_engine_the_doctor_says_what_is_missing_and_how_to_get_it() {
    let home = Home::new().with("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let said = armor(&home, &["doctor"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("ok   git"), "{said:?}");
    assert!(said.out.contains("ok   database"), "{said:?}");
    assert!(said.out.contains("BAD  engine"), "{said:?}");
    assert!(said.out.contains("apt-get install docker.io"), "{said:?}");
    let demo = refused(&home, &["demo"], 5);
    assert_eq!(demo, "engine.unavailable");
    assert_eq!(json(&home, &["list-tasks"])["tasks"], serde_json::json!([]));
}
