//! What a task with the network `egress` reaches, from its sandbox to what is written down (R54).

use std::net::SocketAddr;
use std::path::Path;

use armor_testkit::{Home, require_engine, serve_files, serve_files_tls, write_certificates};
use serde_json::{Value, json};

use crate::support::{armor, json, lines, refused, until};

/// A home whose tasks ask for the network `egress` when they ask for none.
fn home() -> Home {
    Home::new().with("ARMOR_SANDBOX_NETWORK", "egress")
}

fn task(home: &Home, arguments: &[&str]) -> String {
    let task = json(home, &[&["create-task", "t"], arguments].concat());
    task["task_id"].as_str().unwrap().to_owned()
}

/// The processes that carry a home's connections.
fn carriers(home: &Home) -> Vec<i32> {
    let variable = format!("ARMOR_HOME={}", home.path().display());
    let carries = |pid: i32| {
        let read = |name| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let has = |text: Vec<u8>, part: &str| {
            text.split(|byte| *byte == 0).any(|found| found == part.as_bytes())
        };
        has(read("cmdline"), "carry") && has(read("environ"), &variable)
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid| carries(*pid)).collect()
}

/// Sums what the log says of a destination.
fn sum(log: &[Value], event: &str, to: &str, field: &str) -> u64 {
    let of_it = log.iter().filter(|entry| entry["event"] == event && entry["data"]["to"] == to);
    of_it.map(|entry| entry["data"][field].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn engine_a_task_reaches_what_its_rules_allow_and_every_decision_is_in_its_log() {
    require_engine!();
    let home = home();
    std::fs::write(home.user().join("page"), "hello").unwrap();
    let server = serve_files(home.user());
    let rule = server.to_string();
    let task = task(&home, &[]);
    let get = format!("wget -q -O - http://{server}/page");

    let denied = armor(&home, &["exec", "--shell", &task, &get]);
    assert!(denied.code != 0 && denied.err.contains("403"), "{denied:?}");
    let metadata = "wget -q -O - http://169.254.169.254/latest/meta-data";
    assert_ne!(armor(&home, &["exec", "--shell", &task, metadata]).code, 0);

    let now = json(&home, &["network", "allow", &task, &rule, "preset:pypi"]);
    assert_eq!(now["allow"], json!([rule, "pypi.org", "files.pythonhosted.org"]));
    until("what is allowed comes through", || {
        armor(&home, &["exec", "--shell", &task, &get]).out == "hello"
    });
    let now = json(&home, &["network", "deny", &task, &rule]);
    assert_eq!((&now["deny"], &now["allow"][0]), (&json!([rule]), &json!("pypi.org")));
    until("what is denied comes through no more", || {
        armor(&home, &["exec", "--shell", &task, &get]).code != 0
    });

    let log = || lines(&home, &["network", "log", &task]);
    until("every decision is in the log", || {
        let log = log();
        sum(&log, "network:denied", &rule, "times") >= 2
            && sum(&log, "network:denied", "169.254.169.254:80", "times") == 1
            && sum(&log, "network:allowed", &rule, "connections") == 1
            && sum(&log, "network:allowed", &rule, "received_bytes") > 5
    });
    let ruled = log().into_iter().filter(|entry| entry["event"] == "network:ruled").count();
    assert_eq!(ruled, 4);
    // And in the audit log, with everything else.
    let audit = home.path().join("tasks").join(&task).join("logs/audit.jsonl");
    until("the audit log has it", || {
        std::fs::read_to_string(&audit).unwrap().contains("network:denied")
    });
}

// Nothing depends on the process that was there first.
#[tokio::test]
async fn engine_a_carrier_that_is_killed_is_replaced_and_one_that_is_not_needed_goes() {
    require_engine!();
    let home = home();
    std::fs::write(home.user().join("page"), "hello").unwrap();
    let server = serve_files(home.user());
    let task = task(&home, &["--allow", &server.to_string()]);
    let get = format!("wget -q -T 60 -O - http://{server}/page");
    let exec = ["exec", "--shell", &task, &get];
    assert_eq!(armor(&home, &exec).out, "hello");
    // It outlives the program that started it, and is the only one.
    let [carrier] = carriers(&home)[..] else { panic!("{:?}", carriers(&home)) };
    let kill = |pid: i32| {
        let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.unwrap().success());
    };
    kill(carrier);
    until("it is gone", || carriers(&home).is_empty());
    assert_eq!(armor(&home, &exec).out, "hello");

    // What was begun while nobody carried is carried when somebody does.
    kill(carriers(&home)[0]);
    until("it is gone", || carriers(&home).is_empty());
    let begun = json(&home, &["exec", "--background", "--shell", &task, &get]);
    let id = begun["execution_id"].as_str().unwrap();
    assert_eq!(armor(&home, &["executions", "logs", "--follow", &task, id]).out, "hello");

    // And while somebody waits for a command that has begun.
    let workspace = home.path().join("tasks").join(&task).join("workspace");
    let line = format!("touch begun; until [ -e killed ]; do sleep 0.1; done; {get}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| armor(&home, &["exec", "--shell", &task, &line]));
        until("it has begun", || workspace.join("begun").exists());
        let carrier = carriers(&home)[0];
        kill(carrier);
        until("it is gone", || !carriers(&home).contains(&carrier));
        std::fs::write(workspace.join("killed"), "").unwrap();
        assert_eq!(waiting.join().unwrap().out, "hello");
    });

    let carrier = carriers(&home)[0];
    std::fs::remove_file(home.path().join("locks/.carrier")).unwrap();
    until("one whose home is gone ends", || !carriers(&home).contains(&carrier));
}

#[tokio::test]
async fn what_is_no_rule_and_what_the_settings_refuse_are_errors_that_leave_nothing() {
    let home = home();
    for rule in ["", "http://a.example", "a.example:0", "*.*", "preset:nothing", "10.0.0.0/40"] {
        let create = ["create-task", "t", "--allow", rule];
        assert_eq!(refused(&home, &create, 2), "network.invalid_rule", "{rule}");
    }
    let open = ["create-task", "t", "--network", "open"];
    assert_eq!(refused(&home, &open, 4), "network.refused");
    let rules = ["create-task", "t", "--network", "none", "--allow", "a.example"];
    assert_eq!(refused(&home, &rules, 2), "argument.invalid");
    for (variable, value) in
        [("ARMOR_NETWORK_ALLOW", "a.example,::"), ("ARMOR_NETWORK_MODES", "none,host")]
    {
        let home = Home::new().with(variable, value);
        assert_eq!(refused(&home, &["list-tasks"], 2), "config.invalid", "{variable}");
    }
    assert_eq!(json(&home, &["list-tasks"])["tasks"], json!([]));
}

#[tokio::test]
async fn engine_rules_are_refused_to_a_task_that_they_say_nothing_about() {
    require_engine!();
    let home = Home::new();
    let task = task(&home, &[]);
    let allow = ["network", "allow", &task, "a.example"];
    assert_eq!(refused(&home, &allow, 4), "network.no_rules");
    let home = self::home().with("ARMOR_NETWORK_DENY", "preset:pypi");
    let task = self::task(&home, &["--allow", "*"]);
    // All of them or none.
    let allow = ["network", "allow", &task, "a.example", "b.example:x"];
    assert_eq!(refused(&home, &allow, 2), "network.invalid_rule");
    let shown = json(&home, &["network", "show", &task]);
    assert_eq!(shown["allow"], json!(["*"]));
    assert_eq!(shown["deny"], json!(["pypi.org", "files.pythonhosted.org"]));
}

/// The certificates that this machine trusts, which may have some of its network's own.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A repository of git and a registry of npm in the user's folder, for servers at these addresses.
fn publish(home: &Home, servers: &[(&str, SocketAddr)]) {
    let repository = home.repository();
    let bare = home.user().join("bare.git");
    let git = |folder: &Path, arguments: &[&str]| {
        let mut command = home.command("git");
        assert!(command.current_dir(folder).args(arguments).status().unwrap().success());
    };
    git(repository.path(), &["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    git(&bare, &["update-server-info"]);
    for (scheme, server) in servers {
        let package = json!({
            "name": "demo", "dist-tags": { "latest": "1.0.0" },
            "versions": { "1.0.0": {
                "name": "demo", "version": "1.0.0",
                "dist": { "tarball": format!("{scheme}://{server}/demo.tgz") },
            } },
        });
        let registry = home.user().join(scheme);
        std::fs::create_dir(&registry).unwrap();
        std::fs::write(registry.join("demo"), package.to_string()).unwrap();
    }
    std::fs::create_dir(home.user().join("package")).unwrap();
    let manifest = r#"{ "name": "demo", "version": "1.0.0" }"#;
    std::fs::write(home.user().join("package/package.json"), manifest).unwrap();
    let mut tar = home.command("tar");
    assert!(tar.args(["czf", "demo.tgz", "package"]).status().unwrap().success());
}

/// What fetches it from there.
fn fetches(scheme: &str, server: SocketAddr) -> [String; 3] {
    let base = format!("{scheme}://{server}");
    [
        format!("curl -sSf {base}/{scheme}/demo | grep -q {base}/demo.tgz"),
        format!("git clone -q {base}/bare.git /tmp/{scheme} && git -C /tmp/{scheme} log --oneline"),
        format!(
            "mkdir /tmp/npm-{scheme} && cd /tmp/npm-{scheme} && npm install --silent --registry {base}/{scheme}/ demo && test -f node_modules/demo/package.json"
        ),
    ]
}

// The programs that people use. Of the public registries those are asked that Armor's own images and
// tests are made from; git and npm talk to servers of the test's, in the clear and through a tunnel.
#[tokio::test]
async fn engine_package_managers_and_their_like_find_the_way_out() {
    require_engine!();
    let home = home();
    let (ours, strangers) = (home.user().join("ours"), home.user().join("strangers"));
    write_certificates(&ours);
    write_certificates(&strangers);
    let trusted = home.user().join("trusted.pem");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let both = [read(Path::new(CERTIFICATES)), read(&ours.join("ca.pem"))];
    std::fs::write(&trusted, both.join("\n")).unwrap();
    let home = home
        .with("ARMOR_SANDBOX_IMAGE", "agentic-armor/opencode-sandbox-developer:latest")
        .with("ARMOR_SANDBOX_MEMORY_MIB", "1024")
        .with("ARMOR_NETWORK_ALLOW", "preset:pypi,preset:debian")
        .with("ARMOR_NETWORK_CERTIFICATES", trusted.display().to_string());
    let plain = serve_files(home.user());
    let over_tls = |certificates: &Path| serve_files_tls(home.user(), certificates);
    let (secure, closed, strange) = (over_tls(&ours), over_tls(&ours), over_tls(&strangers));
    publish(&home, &[("http", plain), ("https", secure)]);

    let allowed = [plain, secure, strange].map(|server| server.to_string());
    let task = task(&home, &allowed.each_ref().map(|rule| ["--allow", rule.as_str()]).concat());
    let run = |line: &str| armor(&home, &["exec", "--shell", &task, line]);
    let public = [
        "curl -sSf https://pypi.org/simple/six/ | grep -q six",
        "curl -sSf -x socks5h://127.0.0.1:3128 https://pypi.org/simple/six/ | grep -q six",
        "curl -sSf http://deb.debian.org/debian/dists/bookworm/Release -o /tmp/release && grep -q Debian /tmp/release",
        "python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -q --no-cache-dir six && /tmp/venv/bin/python -c 'import six'",
        "mkdir -p /tmp/apt/lists/partial /tmp/apt/cache && apt-get -qq -o Dir::State=/tmp/apt -o Dir::Cache=/tmp/apt/cache -o APT::Sandbox::User= -o Acquire::Languages=none update && ls /tmp/apt/lists | grep -q Release",
    ];
    let own = [fetches("http", plain), fetches("https", secure)].concat();
    for line in public.into_iter().chain(own.iter().map(String::as_str)) {
        let said = run(line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
    }

    // Whose authority is not trusted is there, and no program that checks takes its word.
    let unchecked = run(&format!("curl -sSfk https://{strange}/https/demo"));
    assert!(unchecked.code == 0 && unchecked.out.contains("demo.tgz"), "{unchecked:?}");
    let checked = run(&format!("curl -sSf https://{strange}/https/demo"));
    assert!(checked.code == 60 && checked.out.is_empty(), "{checked:?}");
    // A port that was not allowed gets no tunnel.
    let stopped = run(&format!("curl -sSf https://{closed}/https/demo"));
    assert!(stopped.code != 0 && stopped.err.contains("403"), "{stopped:?}");
    // And a registry that was not allowed stays closed, by any of its names.
    assert_ne!(run("curl -sS https://index.crates.io/config.json").code, 0);
}
