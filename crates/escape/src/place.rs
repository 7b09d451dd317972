//! Where the cases are tried: tasks of a home of its own, as a person would create them.

use std::path::Path;
use std::time::Duration;

use armor::task::Task;
use armor::{Armor, CommandLine, CreateTask, Execute, ExecutionReport, Lifecycle, Silent};
use armor_testkit::{Home, host_addresses};
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::neighbour::Neighbour;
use crate::services::{WELCOME, serve, serve_allowed};
use crate::verdict::Ran;
use crate::{Area, Case, Failure, REACHED, Trial, all};

/// What the cases of [`Area::Resources`] and [`Area::Disk`] try to get more of, and what they need else.
const SETTINGS: [(&str, &str); 8] = [
    ("sandbox.memory_mib", "384"),
    ("sandbox.cpu_millis", "500"),
    ("sandbox.pids", "200"),
    ("sandbox.open_files", "1024"),
    ("sandbox.tmp_mib", "64"),
    ("monitor.disk_mib", "64"),
    // All that a case says is looked at.
    ("execution.reply_kib", "1024"),
    ("network.modes", "none,internal,egress,open"),
];

/// The image with what the cases are written in.
pub(crate) const IMAGE: &str = "agentic-armor/opencode-sandbox-developer:latest";

/// How long a case may take. One that needs more was not tried to its end.
const LIMIT: Duration = Duration::from_mins(5);

/// Variables that cases have.
pub(crate) type Variables = Vec<(String, String)>;

/// Tries every case, and tells of each as it ends.
///
/// # Errors
/// When they cannot be tried: no engine, no image.
pub async fn run(mut tell: impl FnMut(&Trial)) -> Result<Vec<Trial>, Failure> {
    let home = Home::new().with("ARMOR_SANDBOX_IMAGE", IMAGE);
    let mut builder = Armor::builder(home.environment());
    for (key, value) in SETTINGS {
        builder = builder.set(key, value);
    }
    let armor = builder.open().await?;
    let mut suite = Suite {
        lifecycle: armor.lifecycle(),
        variables: Variables::new(),
        tell: &mut tell,
        trials: Vec::new(),
    };
    let done = Box::pin(suite.run(&armor, &home)).await;
    let trials = suite.trials;
    armor.close().await;
    done.map(|()| trials)
}

struct Suite<'a, T> {
    lifecycle: &'a Lifecycle,
    /// What the cases are told.
    variables: Variables,
    tell: &'a mut T,
    trials: Vec<Trial>,
}

impl<T: FnMut(&Trial)> Suite<'_, T> {
    async fn run(&mut self, armor: &Armor, home: &Home) -> Result<(), Failure> {
        self.variables.extend(host_variables(serve().await?.port())?);
        Box::pin(self.run_in_sandboxes(home)).await?;
        Box::pin(self.run_on_disks()).await?;
        Box::pin(self.run_before_the_host(armor, home)).await
    }

    /// The cases that are tried on what a sandbox leads to, one behind the other in the same one.
    async fn run_in_sandboxes(&mut self, home: &Home) -> Result<(), Failure> {
        let allowed = serve_allowed().await?.to_string();
        self.variables.push(("ALLOWED".to_owned(), allowed.clone()));
        let mut tasks = Vec::new();
        let mut neighbours = Vec::new();
        for network in ["internal", "open"] {
            let task = self.attached(on(network, &format!("neighbour-{network}"))?).await?;
            neighbours.push(Neighbour::listen(self.lifecycle, home, &task).await?);
            tasks.push(task);
        }
        self.variables.extend(Neighbour::variables(&neighbours));

        let closed = self.attached(on("none", "closed")?).await?;
        for area in [Area::Kernel, Area::Files, Area::Processes, Area::Resources, Area::Network] {
            self.run_area(area, &closed).await?;
        }
        tasks.push(closed);

        let mut request = on("egress", "with-a-way-out")?;
        // And one address, to see that the way out leads anywhere at all.
        request.rules.allow = vec!["*:*".parse()?, allowed.parse()?];
        request.rules.deny = vec!["*.denied.example".parse()?];
        let with_a_way_out = self.attached(request).await?;
        let line = format!("curl -sS -m 20 http://{allowed}/");
        let probe = self.execute(&with_a_way_out, CommandLine::Shell(line)).await?;
        if !probe.stdout.text.contains(WELCOME) {
            return Err(
                format!("the way out leads nowhere, which would prove nothing: {probe:?}").into()
            );
        }
        self.run_area(Area::Egress, &with_a_way_out).await?;
        tasks.push(with_a_way_out);

        for (area, network) in [(Area::Internal, "internal"), (Area::Open, "open")] {
            let task = self.attached(on(network, &format!("on-{network}"))?).await?;
            self.run_area(area, &task).await?;
            tasks.push(task);
        }
        for task in tasks {
            self.lifecycle.delete(task.id.as_str(), true).await?;
        }
        Ok(())
    }

    /// The cases that take of the disk what they can get, each with a task of its own, while that is
    /// watched as `armor-mcp` does.
    async fn run_on_disks(&mut self) -> Result<(), Failure> {
        let stop = CancellationToken::new();
        let (keeper, until) = (self.lifecycle.clone(), stop.clone());
        let keeping = tokio::spawn(async move { keeper.keep_house(until).await });
        // Also where a case cannot be tried.
        let stopping = stop.drop_guard();
        for case in cases(Area::Disk) {
            let task = self.attached(on("none", "filling")?).await?;
            let ran = self.attempt(&task, &case).await?;
            self.lifecycle.delete(task.id.as_str(), true).await?;
            self.note(case, ran);
        }
        drop(stopping);
        keeping.await?;
        Ok(())
    }

    /// The cases whose success is the host's own doing, each with a task of its own on a repository.
    async fn run_before_the_host(&mut self, armor: &Armor, home: &Home) -> Result<(), Failure> {
        let host = Host::new(armor.context().clone(), home)?;
        self.variables.extend(host.variables());
        let harmless = self.attached(on_repository(host.project(), "harmless")?).await?;
        Box::pin(host.check(&harmless)).await?;
        for case in cases(Area::Host) {
            let task = self.attached(on_repository(host.project(), "tricky")?).await?;
            let mut ran = self.attempt(&task, &case).await?;
            let seen = Box::pin(host.read(&task)).await?;
            ran.said.push_str(&seen.lines());
            self.note(case, ran);
        }
        Ok(())
    }

    async fn run_area(&mut self, area: Area, task: &Task) -> Result<(), Failure> {
        for case in cases(area) {
            let ran = self.attempt(task, &case).await?;
            self.note(case, ran);
        }
        Ok(())
    }

    async fn attempt(&self, task: &Task, case: &Case) -> Result<Ran, Failure> {
        let report = self.execute(task, CommandLine::Argv(case.argv())).await?;
        // The sandbox is there for the next case, whatever this one did.
        let alive = self.execute(task, CommandLine::Shell("echo alive".to_owned())).await?;
        let mut said = report.stdout.text;
        if alive.stdout.text != "alive\n" {
            said = format!("{said}\n{REACHED}: the sandbox does not answer any more\n");
        }
        Ok(Ran {
            said,
            complained: report.stderr.text,
            is_whole: !report.stdout.truncated,
            exit_code: report.execution.end.and_then(|end| end.exit_code).map(i64::from),
        })
    }

    fn note(&mut self, case: Case, ran: Ran) {
        let trial = Trial::of(case, ran);
        (self.tell)(&trial);
        self.trials.push(trial);
    }

    async fn attached(&self, request: CreateTask) -> Result<Task, Failure> {
        let task = self.lifecycle.create(request).await?;
        Ok(self.lifecycle.attach(task.id.as_str(), "escapist".parse()?, &Silent).await?)
    }

    async fn execute(&self, task: &Task, command: CommandLine) -> Result<ExecutionReport, Failure> {
        let env = self.variables.iter().cloned().collect();
        let request = Execute { env, timeout: Some(LIMIT), ..Execute::new(command) };
        let id = task.id.as_str();
        Ok(self.lifecycle.execute(id, request, CancellationToken::new()).await?)
    }
}

fn cases(area: Area) -> impl Iterator<Item = Case> {
    all().into_iter().filter(move |case| case.area == area)
}

fn on(network: &str, name: &str) -> Result<CreateTask, Failure> {
    let mut request = CreateTask::named(name.parse()?);
    request.network = Some(network.parse()?);
    Ok(request)
}

fn on_repository(repository: &Path, name: &str) -> Result<CreateTask, Failure> {
    let mut request = CreateTask::named(name.parse()?);
    request.workspace = Some(repository.to_owned());
    Ok(request)
}

/// What the cases are told of the host.
pub(crate) fn host_variables(port: u16) -> Result<Variables, Failure> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    Ok(vec![
        ("HOST_PORT".to_owned(), port.to_string()),
        ("HOST_ADDRESSES".to_owned(), host_addresses().join(" ")),
        ("HOST_NAME".to_owned(), name.trim().to_owned()),
    ])
}
