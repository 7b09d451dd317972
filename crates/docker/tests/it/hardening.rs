//! Every default of R51, in what the engine says and in what a command finds (R51, R97).

use armor_core::error::{Code, Diagnostic};
use armor_core::id::SandboxId;
use armor_core::sandbox::{CommandExit, NetworkMode, Runtime, SandboxSpec};
use armor_testkit::{engine, require_engine};
use bollard::models::{
    ContainerInspectResponse, ContainerUpdateBody, NetworkConnectRequest, NetworkDisconnectRequest,
};

use crate::support::{Place, USER};

async fn inspect(sandbox: &SandboxId) -> ContainerInspectResponse {
    engine::docker().inspect_container(sandbox.as_str(), None).await.unwrap()
}

#[tokio::test]
async fn engine_inspection_shows_every_default_in_force() {
    require_engine!();
    let place = Place::new();
    let spec = place.spec(NetworkMode::None);
    let container = inspect(&place.sandbox(&spec).await).await;
    let config = container.config.unwrap();
    let host = container.host_config.unwrap();

    // A user without privileges.
    assert_eq!(config.user.as_deref(), Some("10001:10001"));
    // All capabilities dropped, none added, no way to gain privileges.
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert!(host.cap_add.unwrap_or_default().is_empty());
    assert_eq!(host.privileged, Some(false));
    // A profile of our own for system calls.
    let options = host.security_opt.unwrap();
    assert_eq!((options.len(), options[0].as_str()), (2, "no-new-privileges"));
    assert!(options[1].starts_with("seccomp={"), "{}", options[1]);
    // A read-only root, memory where something has to be written.
    assert_eq!(host.readonly_rootfs, Some(true));
    let tmp = &host.tmpfs.unwrap()["/tmp"];
    assert!(tmp.contains("nosuid") && tmp.contains("nodev") && tmp.contains("size=8m"), "{tmp}");
    // Limits on processes, memory without swap, processor time, open files.
    assert_eq!(host.pids_limit, Some(48));
    assert_eq!((host.memory, host.memory_swap), (Some(128 << 20), Some(128 << 20)));
    assert_eq!(host.nano_cpus, Some(500_000_000));
    let limits = host.ulimits.unwrap();
    assert_eq!((limits[0].name.as_deref(), limits[0].hard), (Some("nofile"), Some(256)));
    // Our own first process, no network of the host's, no namespace shared.
    assert_eq!(container.path.as_deref(), Some("/run/armor/runner"));
    assert_eq!(host.network_mode.as_deref(), Some("none"));
    assert_eq!(host.ipc_mode.as_deref(), Some("private"));
    assert_eq!(host.pid_mode.as_deref().unwrap_or(""), "");
    assert_eq!(host.userns_mode.as_deref().unwrap_or(""), "");
    assert_eq!(host.uts_mode.as_deref().unwrap_or(""), "");
    // No device, no engine socket, nothing mounted but what was asked for.
    assert!(host.devices.unwrap_or_default().is_empty());
    let mounts = container.mounts.unwrap();
    let mut targets: Vec<_> =
        mounts.iter().filter_map(|mount| mount.destination.as_deref()).collect();
    targets.retain(|target| *target != "/tmp");
    targets.sort_unstable();
    let ours = ["/run/armor/executions", "/run/armor/host", "/run/armor/runner"];
    assert_eq!(targets, [&["/home/agent"][..], &ours, &["/workspace"]].concat());
    assert!(host.masked_paths.unwrap().iter().any(|path| path == "/proc/kcore"));
    assert!(host.readonly_paths.unwrap().iter().any(|path| path == "/proc/sys"));
    // It does not come back by itself, keeps no log, and bears its labels.
    assert_eq!(host.restart_policy.unwrap().name.unwrap().to_string(), "no");
    assert_eq!(host.log_config.unwrap().typ.as_deref(), Some("none"));
    let labels = config.labels.unwrap();
    assert_eq!(labels[armor_docker::TASK_LABEL], spec.task.as_str());
    assert_eq!(labels[armor_docker::HOME_LABEL], place.home.as_str());
}

#[tokio::test]
async fn engine_a_command_has_no_privilege_and_writes_only_where_it_may() {
    require_engine!();
    let place = Place::new();
    let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;

    let status = place.sh(&sandbox, "cat /proc/self/status; id -u").await.stdout;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(status.lines().last(), Some(USER.uid.to_string().as_str()));

    for path in ["/workspace/x", "/home/agent/x", "/tmp/x", "/dev/shm/x"] {
        let ran = place.sh(&sandbox, &format!("echo 1 > {path} && cat {path}")).await;
        assert_eq!(ran.stdout, "1\n", "{path}: {}", ran.stderr);
    }
    // Everything else: tried for each folder there is.
    let tried = place
        .sh(
            &sandbox,
            "find / -xdev -type d 2>/dev/null; find /run /proc/sys /sys -type d 2>/dev/null | head -n 300",
        )
        .await
        .stdout;
    let folders: Vec<_> = tried
        .lines()
        .filter(|folder| !["/workspace", "/home/agent", "/tmp", "/dev"].contains(folder))
        .filter(|folder| !folder.contains('\''))
        .collect();
    assert!(folders.len() > 20, "{tried}");
    let tries: Vec<_> = folders
        .iter()
        .map(|folder| format!("( : > '{folder}/armor-was-here' ) 2>/dev/null && echo '{folder}'"))
        .collect();
    let script = tries.join("\n");
    assert_eq!(place.sh(&sandbox, &script).await.stdout, "", "writable, and should not be");
}

#[tokio::test]
async fn engine_escapes_that_are_tried_do_not_succeed() {
    require_engine!();
    let place = Place::new();
    let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
    let attempts = [
        ("remount the root", "mount -o remount,rw /"),
        ("mount something", "mount -t tmpfs none /workspace"),
        ("make a user namespace", "unshare -r true"),
        ("make a device", "mknod /tmp/disk b 8 0"),
        ("become root", "su -c true"),
        ("change the owner", "touch /tmp/f && chown 0 /tmp/f"),
        ("set the clock", "date -s 2000-01-01 && test $(date +%Y) = 2000"),
        ("name the host", "hostname other"),
        ("write a kernel setting", "echo 1 > /proc/sys/kernel/panic"),
        ("read the kernel's memory", "head -c 1 /proc/kcore | grep -q ."),
        ("see the engine's socket", "test -e /var/run/docker.sock"),
        ("look into the first process", "cat /proc/1/environ"),
        ("replace the first process's program", "echo x > /run/armor/runner"),
        ("remove the first process's socket", "rm -f /run/armor/host/runner.sock"),
        ("put something beside it", "touch /run/armor/host/other"),
    ];
    let first = async || inspect(&sandbox).await.state.unwrap().pid;
    let before = first().await;
    for (what, line) in attempts {
        let ran = place.sh(&sandbox, line).await;
        assert_ne!(
            ran.exit,
            armor_core::sandbox::CommandExit::Code(0),
            "could {what}: {}",
            ran.stdout
        );
    }
    // The kernel takes signals for the first process and drops them.
    place.sh(&sandbox, "for signal in TERM INT HUP STOP KILL; do kill -$signal 1; done").await;
    assert_eq!(place.sh(&sandbox, "echo alive").await.stdout, "alive\n");
    assert_eq!(first().await, before);
}

// R51: stricter than the engine's default where that breaks nothing.
#[tokio::test]
async fn engine_the_first_process_keeps_its_priority_and_others_can_change_their_own() {
    require_engine!();
    let place = Place::new();
    let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
    let changes = ["renice -n 5 -p", "taskset -p 1", "ionice -c 3 -p"];
    for change in changes {
        let of = async |process: &str| place.sh(&sandbox, &format!("{change} {process}")).await;
        let (own, first) = (of("$$").await, of("1").await);
        assert_eq!(own.exit, CommandExit::Code(0), "{change}: {}", own.stderr);
        assert_ne!(first.exit, CommandExit::Code(0), "{change}: {}", first.stdout);
        assert!(first.stderr.contains("not permitted"), "{change}: {}", first.stderr);
    }
}

/// Starts a sandbox that was made weaker meanwhile, and gives what is said of it. It has to be gone.
async fn start_weaker(place: &Place, sandbox: &SandboxId, spec: &SandboxSpec) -> String {
    let error = place.runtime.start(sandbox, spec).await.unwrap_err();
    assert_eq!(error.code(), Code::SandboxWeaker, "{error}");
    assert_eq!(place.runtime.find(&spec.task).await.unwrap(), None);
    error.to_string()
}

// R45: what the engine says it was told, and what came of it, need not be the same.
#[tokio::test]
async fn engine_a_network_that_was_added_behind_its_back_is_seen_from_inside() {
    require_engine!();
    let place = Place::new();
    let docker = engine::docker();
    // Its network is one that another sandbox can be added to.
    let other = place.spec(NetworkMode::Internal);
    place.runtime.create(&other).await.unwrap();
    let network = format!("armor-{}-{}", place.home, other.task);
    for mode in [NetworkMode::None, NetworkMode::Internal] {
        let spec = place.spec(mode);
        let sandbox = place.runtime.create(&spec).await.unwrap().id;
        if mode == NetworkMode::None {
            // An engine adds none as long as it has `none`, which its inspection says ever after.
            let request =
                NetworkDisconnectRequest { container: sandbox.to_string(), force: Some(true) };
            docker.disconnect_network("none", request).await.unwrap();
        }
        let request = NetworkConnectRequest {
            container: sandbox.to_string(),
            ..NetworkConnectRequest::default()
        };
        docker.connect_network(&network, request).await.unwrap();
        let said = start_weaker(&place, &sandbox, &spec).await;
        assert!(said.contains("the network that was asked for, seen from inside"), "{said}");
    }
}

#[tokio::test]
async fn engine_limits_that_were_raised_behind_its_back_are_found() {
    require_engine!();
    let place = Place::new();
    let raised: [(&str, ContainerUpdateBody); 3] = [
        (
            "the limit on memory",
            ContainerUpdateBody {
                memory: Some(256 << 20),
                memory_swap: Some(256 << 20),
                ..ContainerUpdateBody::default()
            },
        ),
        (
            "the limit on processes",
            ContainerUpdateBody { pids_limit: Some(4096), ..ContainerUpdateBody::default() },
        ),
        (
            "the limit on processor time",
            ContainerUpdateBody {
                nano_cpus: Some(1_000_000_000),
                ..ContainerUpdateBody::default()
            },
        ),
    ];
    for (name, body) in raised {
        let spec = place.spec(NetworkMode::None);
        let sandbox = place.runtime.create(&spec).await.unwrap().id;
        engine::docker().update_container(sandbox.as_str(), body).await.unwrap();
        let said = start_weaker(&place, &sandbox, &spec).await;
        assert!(said.contains(name), "{said}");
    }
}

#[tokio::test]
async fn engine_limits_hold() {
    require_engine!();
    let place = Place::new();
    let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
    let full =
        place.sh(&sandbox, "head -c 16777216 /dev/zero > /tmp/big; stat -c %s /tmp/big").await;
    assert_eq!(full.stdout.trim(), (8 << 20).to_string(), "{}", full.stderr);
    let files = place.sh(&sandbox, "ulimit -n; ulimit -Hn").await;
    assert_eq!(files.stdout, "256\n256\n");
    // As many processes as there may be: no more can be started, until these are killed.
    let line = "trap 'echo full; exec sleep 1000' EXIT; while true; do sleep 1000 & done";
    let mut many = place.begin(&sandbox, place.request(&["/bin/sh", "-c", line]));
    many.writes().await;
    let full = place.exec(&sandbox, place.request(&["/bin/true"])).await.unwrap_err();
    assert!(armor_core::error::chain(&full).contains("as many processes as it may"), "{full:?}");
    place.kill(&sandbox, &many.execution).await;
    // Memory: what takes more than there is, is killed; the sandbox is not.
    let greedy = place.sh(&sandbox, "tail -c 400000000 /dev/zero | wc -c; echo done").await;
    assert!(!greedy.stdout.contains("400000000"), "{}", greedy.stdout);
    assert_eq!(place.sh(&sandbox, "echo alive").await.stdout, "alive\n");
}
