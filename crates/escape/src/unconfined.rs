//! The control: the same cases where nothing keeps them from succeeding.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use futures_util::StreamExt;

use crate::place::{IMAGE, host_variables};
use crate::services::serve;
use crate::verdict::Ran;
use crate::{Case, Failure, Trial, all};

/// Tries every case that can succeed there in a container with all capabilities, the host's network,
/// and no filter. What a case changes there is the container's, or is set to what it was.
///
/// # Errors
/// When there is no engine, or no image.
pub async fn run_unconfined() -> Result<Vec<Trial>, Failure> {
    let docker = Docker::connect_with_defaults()?;
    let variables = host_variables(serve().await?.port())?;
    let env: Vec<_> =
        variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut trials = Vec::new();
    for case in all().into_iter().filter(|case| case.can_succeed) {
        // One for each: some end all that is in it.
        let container = docker.create_container(None, body(&env)?).await?.id;
        let ended = attempt(&docker, &container, &case).await;
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        docker.remove_container(&container, Some(force)).await?;
        trials.push(Trial::of(case, ended?));
    }
    Ok(trials)
}

/// The names of the capabilities, in the order of their numbers (capabilities(7)), without those that
/// older engines do not know; `SYS_ADMIN` has what they are good for.
const CAPABILITIES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP \
     LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE \
     SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME \
     SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG \
     WAKE_ALARM BLOCK_SUSPEND AUDIT_READ";

/// Those that there are on this machine: in a virtual machine or a container of its own, it may not
/// have all of them.
fn own_capabilities() -> Result<Vec<String>, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let bits = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bits = u64::from_str_radix(bits.ok_or("no capabilities are told")?.trim(), 16)?;
    let names = CAPABILITIES.split_whitespace().enumerate();
    Ok(names.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| name.to_owned()).collect())
}

fn body(env: &[String]) -> Result<ContainerCreateBody, Failure> {
    let unconfined = ["seccomp=unconfined", "apparmor=unconfined"];
    Ok(ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        entrypoint: Some(vec!["sleep".to_owned(), "600".to_owned()]),
        user: Some("0:0".to_owned()),
        env: Some(env.to_vec()),
        working_dir: Some("/".to_owned()),
        host_config: Some(HostConfig {
            cap_add: Some(own_capabilities()?),
            security_opt: Some(unconfined.map(str::to_owned).to_vec()),
            // Nothing of /proc and /sys is hidden or closed.
            masked_paths: Some(Vec::new()),
            readonly_paths: Some(Vec::new()),
            network_mode: Some("host".to_owned()),
            shm_size: Some(1 << 30),
            // More than a sandbox has, and not all of this machine's: a bomb goes off in there.
            pids_limit: Some(1000),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    })
}

async fn attempt(docker: &Docker, container: &str, case: &Case) -> Result<Ran, Failure> {
    docker.start_container(container, None).await?;
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(case.argv()),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec(container, options).await?.id;
    let started = docker.start_exec(&exec, None::<StartExecOptions>).await?;
    let StartExecResults::Attached { mut output, .. } = started else {
        return Err("the engine answered as if detached".into());
    };
    let (mut said, mut complained) = (String::new(), String::new());
    while let Some(piece) = output.next().await {
        match piece? {
            LogOutput::StdErr { message } => {
                complained.push_str(&String::from_utf8_lossy(&message));
            }
            other => said.push_str(&other.to_string()),
        }
    }
    let exit_code = docker.inspect_exec(&exec).await?.exit_code;
    Ok(Ran { said, complained, is_whole: true, exit_code })
}
