//! What cannot become a task, or a sandbox: told with code and next step, and nothing is left (R95).

use armor_testkit::{Home, require_engine};
use serde_json::{Value, json};

use crate::support::{json, lines, refused};

#[tokio::test]
async fn engine_what_cannot_become_a_task_is_refused_and_leaves_nothing() {
    require_engine!();
    let home = Home::new().with("ARMOR_SANDBOX_NETWORK", "egress");
    let repository = home.repository();
    let before = repository.snapshot();
    let path = repository.path().display().to_string();
    let create = |arguments: &[&str], exit: i32, code: &str| {
        let all = [&["create-task", "t", "--workspace", &path], arguments].concat();
        assert_eq!(refused(&home, &all, exit), code, "{arguments:?}");
    };
    for limit in ["--memory-mib", "--cpu-millis", "--pids"] {
        for value in ["0", "4294967296", "0.5", "much", ""] {
            create(&[limit, value], 2, "argument.invalid");
        }
    }
    // What has no argument of its own comes from the settings.
    for limit in ["memory_mib", "cpu_millis", "pids", "open_files", "tmp_mib"] {
        create(&["--set", &format!("sandbox.{limit}=0")], 2, "config.invalid");
    }
    create(&["--set", "monitor.disk_mib=-1"], 2, "config.invalid");
    create(&["--set", "sandbox.disk_mib=0"], 2, "config.unknown_key");
    create(&["--memory-mib", "64", "--pids", "0"], 2, "argument.invalid");
    create(&["--memory-mib", "1048576"], 4, "sandbox.refused");
    // What the settings allow, the machine need not have.
    for (limit, setting) in [("--memory-mib", "memory_mib"), ("--cpu-millis", "cpu_millis")] {
        let most = 1_u64 << 20;
        let (most, policy) = (most.to_string(), format!("policy.{setting}={most}"));
        create(&[limit, &most, "--set", &policy], 5, "engine.unsupported");
    }
    for rule in [
        "",
        " ",
        ":443",
        "a.example:",
        "a.example:65536",
        "a.example:+1",
        "https://a.example",
        "a.example/path",
        "user@a.example",
        "a..example",
        "a.*.example",
        "*a.example",
        "127.1",
        "192.0.2.0/33",
        "[2001:db8::/32",
        "2001:db8::1",
        "a.example,b.example",
        "a.example\nb.example",
        "preset:",
        "preset:PyPI",
    ] {
        create(&["--allow", rule], 2, "network.invalid_rule");
    }
    // One that is wrong, behind another that is not.
    create(&["--allow", "a.example", "--allow", "b.example:x"], 2, "network.invalid_rule");
    create(&["--network", "open", "--allow", "a.example"], 4, "network.refused");
    create(&["--network", "bridge"], 2, "argument.invalid");
    create(&["--image", "no-such-image:1"], 3, "image.not_found");
    create(&["--image", "no such image"], 2, "argument.invalid");

    assert_eq!(json(&home, &["list-tasks"])["tasks"], json!([]));
    assert_eq!(lines(&home, &["events"]), Vec::<Value>::new());
    assert_eq!(repository.git(&["branch", "--list", "task/*"]), "");
    assert_eq!(repository.snapshot(), before);
    assert_eq!(home.leftovers().await, Vec::<String>::new());
    let sockets = std::fs::read_dir(home.path().join("runners/sockets"));
    assert_eq!(sockets.into_iter().flatten().count(), 0);
}
