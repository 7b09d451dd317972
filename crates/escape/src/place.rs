//! Where the cases are tried: tasks of a home of its own, as a person would create them.

use std::net::SocketAddr;

use armor::task::Task;
use armor::{Armor, CommandLine, CreateTask, Execute, Lifecycle, Silent};
use armor_testkit::{Home, host_addresses};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Area, Case, Failure, REACHED, Verdict, all};

/// What the cases of [`Area::Resources`] try to get more of.
const LIMITS: [(&str, &str); 5] = [
    ("sandbox.memory_mib", "384"),
    ("sandbox.cpu_millis", "500"),
    ("sandbox.pids", "200"),
    ("sandbox.open_files", "1024"),
    ("sandbox.tmp_mib", "64"),
];

/// The image with what the cases are written in.
pub(crate) const IMAGE: &str = "agentic-armor/opencode-sandbox-developer:latest";

/// Tries every case, and tells of each as it ends.
///
/// # Errors
/// When they cannot be tried: no engine, no image.
pub async fn run(mut tell: impl FnMut(&Verdict)) -> Result<Vec<Verdict>, Failure> {
    let home = Home::new().with("ARMOR_SANDBOX_IMAGE", IMAGE);
    let mut builder = Armor::builder(home.environment());
    for (key, value) in LIMITS {
        builder = builder.set(key, value);
    }
    let armor = builder.open().await?;
    let done = Box::pin(run_in(armor.lifecycle(), &mut tell)).await;
    armor.close().await;
    done
}

async fn run_in(
    lifecycle: &Lifecycle,
    tell: &mut impl FnMut(&Verdict),
) -> Result<Vec<Verdict>, Failure> {
    let host = serve().await?;
    let closed = attached(lifecycle, CreateTask::named("closed".parse()?)).await?;
    let mut request = CreateTask::named("with a way out".parse()?);
    request.network = Some("egress".parse()?);
    // And one address, to see that the way out leads anywhere at all.
    let open = format!("127.0.0.3:{}", host.port());
    request.rules.allow = vec!["*:*".parse()?, open.parse()?];
    let with_a_way_out = attached(lifecycle, request).await?;
    let line = format!("curl -sS -m 20 http://{open}/");
    let probe = Execute::new(CommandLine::Shell(line));
    let id = with_a_way_out.id.as_str();
    let probe = lifecycle.execute(id, probe, CancellationToken::new()).await?;
    if !probe.stdout.text.contains(REACHED) {
        return Err(
            format!("the way out leads nowhere, which would prove nothing: {probe:?}").into()
        );
    }
    let mut verdicts = Vec::new();
    for case in all() {
        let task = if case.area == Area::Egress { &with_a_way_out } else { &closed };
        let verdict = attempt(lifecycle, task, case, host).await?;
        tell(&verdict);
        verdicts.push(verdict);
    }
    for task in [closed, with_a_way_out] {
        lifecycle.delete(task.id.as_str(), true).await?;
    }
    Ok(verdicts)
}

async fn attached(lifecycle: &Lifecycle, request: CreateTask) -> Result<Task, Failure> {
    let task = lifecycle.create(request).await?;
    Ok(lifecycle.attach(task.id.as_str(), "escapist".parse()?, &Silent).await?)
}

async fn attempt(
    lifecycle: &Lifecycle,
    task: &Task,
    case: Case,
    host: SocketAddr,
) -> Result<Verdict, Failure> {
    let mut request = Execute::new(CommandLine::Argv(case.argv()));
    request.env = variables(host).into_iter().collect();
    let report = lifecycle.execute(task.id.as_str(), request, CancellationToken::new()).await?;
    // The sandbox is there for the next case, whatever this one did.
    let alive = Execute::new(CommandLine::Shell("echo alive".to_owned()));
    let alive = lifecycle.execute(task.id.as_str(), alive, CancellationToken::new()).await?;
    let mut said = report.stdout.text;
    if alive.stdout.text != "alive\n" {
        said.push_str(REACHED);
        said.push_str(": the sandbox does not answer any more\n");
    }
    Ok(Verdict { case, said, complained: report.stderr.text })
}

/// What the cases are told of the host.
pub(crate) fn variables(host: SocketAddr) -> [(String, String); 2] {
    let addresses = host_addresses().join(" ");
    [("HOST_PORT".to_owned(), host.port().to_string()), ("HOST_ADDRESSES".to_owned(), addresses)]
}

/// A service of the host that listens everywhere, and tells whoever connects that he has reached it.
pub(crate) async fn serve() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("0.0.0.0:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let body = format!("{REACHED} the host\n");
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            // Whoever has left already has reached it all the same, and has no use for that.
            let _told = stream.write_all(answer.as_bytes()).await;
        }
    });
    Ok(address)
}
