//! What the host runs on a task's files once a case has had its way with them: the commands that a person
//! would give, and a look at what they left.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use armor::commands::{Arguments, COMMANDS, Call, Context, Run};
use armor::diagnostics::chain;
use armor::task::Task;
use armor::{CommandLine, Execute, Silent};
use armor_testkit::{Home, Repository};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::console::Nobody;
use crate::{Failure, REACHED};

/// How long the host may take for one thing. One that never ends holds up the end of the suite, too, but
/// not before it was told.
const PATIENCE: Duration = Duration::from_mins(3);
/// What stands in files of the host's that no task may see.
const SECRET: &str = "the host's own secret, for nobody's eyes";
/// What a task has in its workspace that is found again wherever that is kept.
const CANARY: &str = "a canary in the workspace";
/// What may be written for a checkpoint that is read back, in KiB: no case makes so much itself.
const MOST_KIB: u64 = 512 << 10;
/// The checkpoint.
const NAME: &str = "tricked";

/// A command and what it is given.
type Step<'a> = (&'static str, &'a [(&'static str, &'a str)]);

/// How the host's part of something went.
#[derive(Debug)]
enum Answer {
    Given {
        /// For people.
        text: String,
        /// For programs.
        json: String,
    },
    Refused(String),
    Hung,
}

/// What was seen of all that the host did on a task.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What of it is a success of the case's.
    pub(crate) reached: Vec<String>,
    /// What the host would not do. That is as it should be, except on a task without a case.
    pub(crate) refused: Vec<String>,
    /// Where the canary was found.
    canary: Vec<String>,
}

/// A user's files, on which tasks are made and which no task may see or change.
#[derive(Debug)]
pub(crate) struct Host {
    context: Context,
    home: PathBuf,
    user: PathBuf,
    outside: PathBuf,
    project: Repository,
    other: Repository,
}

impl Host {
    pub(crate) fn new(context: Context, home: &Home) -> Result<Self, Failure> {
        let (user, outside) = (home.user(), home.user().join("outside"));
        fs::create_dir(&outside)?;
        fs::write(outside.join("secret"), SECRET)?;
        let project = home.repository();
        let other = Repository::make(user.join("other"));
        other.commit("secret", SECRET);
        Ok(Self { context, home: home.path(), user, outside, project, other })
    }

    /// What cases are told of it. None of these paths is there in a sandbox.
    pub(crate) fn variables(&self) -> [(String, String); 4] {
        let path = |path: &Path| path.display().to_string();
        [
            ("HOST_FOLDER".to_owned(), path(&self.outside)),
            ("HOST_SECRET".to_owned(), path(&self.outside.join("secret"))),
            ("HOST_REPOSITORY".to_owned(), path(self.other.path())),
            ("HOST_COMMIT".to_owned(), self.other.git(&["rev-parse", "HEAD"])),
        ]
    }

    /// The repository that tasks are made on.
    pub(crate) fn project(&self) -> &Path {
        self.project.path()
    }

    /// Sees on a task without a case that the host does all of it, and that what a task has would be found
    /// where the host keeps it.
    ///
    /// # Errors
    /// When not: then cases would show nothing.
    pub(crate) async fn check(&self, task: &Task) -> Result<(), Failure> {
        let line = format!("echo '{CANARY}' > file && git add file && git commit -qm file");
        let commit = Execute::new(CommandLine::Shell(line));
        let lifecycle = &self.context.lifecycle;
        lifecycle.execute(task.id.as_str(), commit, CancellationToken::new()).await?;
        let seen = Box::pin(self.read(task)).await?;
        // In the home are the task's own files.
        let places = ["the home", "the extracted workspace", "the archive", "the repository"];
        if seen.canary != places || !seen.reached.is_empty() || !seen.refused.is_empty() {
            return Err(format!("the host does not read a task that does no harm: {seen:?}").into());
        }
        Ok(())
    }

    /// Does on a task, which is on the project with an agent attached, what the host does on tasks, to its
    /// deletion.
    ///
    /// # Errors
    /// When it cannot be done or looked at.
    pub(crate) async fn read(&self, task: &Task) -> Result<Seen, Failure> {
        let id = task.id.as_str();
        let before = self.own_files()?;
        let scratch = self.user.join(format!("scratch-{id}"));
        fs::create_dir(&scratch)?;
        let extracted = scratch.join("extracted");
        let archive = scratch.join("archive.tar.gz");
        let mut seen = Seen::default();
        if self.run_all(task, &extracted, &archive, &mut seen).await? {
            let folder = self.context.lifecycle.folder(&task.id);
            if folder.exists() {
                seen.reached.push("the host cannot remove the task's files".to_owned());
            }
        }
        self.look(&extracted, &archive, &mut seen).await?;
        if self.own_files()? != before {
            seen.reached.push("a file of the host's is another one".to_owned());
        }
        // What stays is removed with the home.
        let _removed = Command::new("rm").arg("-rf").arg(&scratch).status().await;
        Ok(seen)
    }

    /// False when the host hangs in something: whatever comes behind that would wait for it.
    async fn run_all(
        &self,
        task: &Task,
        extracted: &Path,
        archive: &Path,
        seen: &mut Seen,
    ) -> Result<bool, Failure> {
        let id = task.id.as_str();
        let lifecycle = &self.context.lifecycle;
        let (extracted, archive) = (extracted.display().to_string(), archive.display().to_string());
        let fork = format!("fork-of-{id}");
        let reading: [Step<'_>; 12] = [
            ("checkpoint create", &[("task", id), ("dry-run", "")]),
            ("checkpoint create", &[("task", id), ("name", NAME)]),
            ("checkpoint list", &[("task", id)]),
            ("checkpoint show", &[("task", id), ("checkpoint", NAME)]),
            ("checkpoint diff", &[("task", id), ("checkpoint", NAME)]),
            (
                "checkpoint extract",
                &[("task", id), ("checkpoint", NAME), ("folder", extracted.as_str())],
            ),
            (
                "checkpoint export",
                &[("task", id), ("checkpoint", NAME), ("archive", archive.as_str())],
            ),
            ("stats", &[]),
            ("show", &[("task", id)]),
            ("fork", &[("task", id), ("checkpoint", NAME), ("name", fork.as_str())]),
            // Brings the task's commits home.
            ("detach", &[("task", id)]),
            ("checkpoint restore", &[("task", id), ("checkpoint", NAME), ("force", "")]),
        ];
        let ending: [Step<'_>; 3] = [
            ("complete-task", &[("task", id)]),
            ("cleanup-task", &[("task", fork.as_str()), ("force", "")]),
            ("cleanup-task", &[("task", id), ("force", "")]),
        ];
        if !self.run_each(&reading, seen).await? {
            return Ok(false);
        }
        // A task that was restored is pending.
        let attaching = async {
            Box::pin(lifecycle.attach(id, "escapist".parse()?, &Silent)).await?;
            Ok::<_, Failure>(())
        };
        let attached = match timeout(PATIENCE, attaching).await {
            Ok(Ok(())) => Answer::Given { text: String::new(), json: String::new() },
            Ok(Err(error)) => Answer::Refused(chain(&*error)),
            Err(_) => Answer::Hung,
        };
        let measured = match timeout(PATIENCE, lifecycle.disk_usage(&task.id)).await {
            Ok(bytes) => Answer::Given { text: bytes.to_string(), json: String::new() },
            Err(_) => Answer::Hung,
        };
        for (what, answer) in [("attach", attached), ("measuring the disk", measured)] {
            if !note(what, answer, seen) {
                return Ok(false);
            }
        }
        // As long as the task's own files are there.
        self.look_at_home(seen).await?;
        self.run_each(&ending, seen).await
    }

    async fn run_each(&self, steps: &[Step<'_>], seen: &mut Seen) -> Result<bool, Failure> {
        for &(name, arguments) in steps {
            let answer = self.command(name, arguments).await?;
            if !note(name, answer, seen) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn command(
        &self,
        name: &'static str,
        arguments: &[(&'static str, &str)],
    ) -> Result<Answer, Failure> {
        let command = COMMANDS.iter().find(|command| command.name == name);
        let Some(Run::Open(run)) = command.map(|command| command.run) else {
            return Err(format!("there is no command `{name}`").into());
        };
        let mut given = Arguments::default();
        for &(argument, value) in arguments {
            given.add(argument, value.to_owned());
        }
        let call = Call {
            context: self.context.clone(),
            arguments: given,
            console: Arc::new(Nobody),
            cancelled: CancellationToken::new(),
        };
        Ok(match timeout(PATIENCE, run(call)).await {
            Ok(Ok(outcome)) => {
                let json = outcome.json.map(|json| json.to_string()).unwrap_or_default();
                Answer::Given { text: outcome.text, json }
            }
            Ok(Err(error)) => Answer::Refused(chain(&error)),
            Err(_) => Answer::Hung,
        })
    }

    /// What is in the home, with the task's own files.
    async fn look_at_home(&self, seen: &mut Seen) -> Result<(), Failure> {
        let (secret, canary) = (holds(&self.home, SECRET).await?, holds(&self.home, CANARY).await?);
        note_found("the home", secret, canary, seen);
        Ok(())
    }

    /// What the host made of the task's files elsewhere.
    async fn look(&self, extracted: &Path, archive: &Path, seen: &mut Seen) -> Result<(), Failure> {
        let (secret, canary) = (holds(extracted, SECRET).await?, holds(extracted, CANARY).await?);
        note_found("the extracted workspace", secret, canary, seen);
        let (secret, canary) =
            (archive_holds(archive, SECRET).await?, archive_holds(archive, CANARY).await?);
        note_found("the archive", secret, canary, seen);
        let objects = self.project.git(&["cat-file", "--batch-all-objects", "--batch"]);
        note_found("the repository", objects.contains(SECRET), objects.contains(CANARY), seen);
        if size_kib(extracted).await? > MOST_KIB {
            seen.reached.push("the host wrote more than there was".to_owned());
        }
        Ok(())
    }

    /// All that a task may not change: the user's folder and both repositories.
    fn own_files(&self) -> Result<String, Failure> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.outside)? {
            let path = entry?.path();
            files.push((fs::read(&path)?, path));
        }
        files.sort();
        Ok(format!("{files:?}\n{}\n{}", self.project.snapshot(), self.other.snapshot()))
    }
}

/// Notes how something went. False when it hangs.
fn note(what: &str, answer: Answer, seen: &mut Seen) -> bool {
    let said = match answer {
        Answer::Hung => {
            seen.reached.push(format!("the host hangs: {what}"));
            return false;
        }
        Answer::Refused(why) => {
            seen.refused.push(format!("{what}: {why}"));
            why
        }
        Answer::Given { text, json } => {
            if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
                seen.reached.push(format!("a name speaks to the host's terminal: {what}"));
            }
            text + &json
        }
    };
    if said.contains(SECRET) {
        seen.reached.push(format!("the host tells its secret: {what}"));
    }
    true
}

fn note_found(place: &str, secret: bool, canary: bool, seen: &mut Seen) {
    if secret {
        seen.reached.push(format!("the host's secret is in {place}"));
    }
    if canary {
        seen.canary.push(place.to_owned());
    }
}

/// Whether a file below a folder holds a text. No link is followed, no pipe opened, and no tree is too deep.
async fn holds(folder: &Path, text: &str) -> Result<bool, Failure> {
    if !folder.exists() {
        return Ok(false);
    }
    let mut grep = Command::new("grep");
    // Between zeros, so that holes are skipped.
    grep.args(["-rqszaF", "-D", "skip", "-e", text]).arg(folder);
    Ok(grep.status().await?.success())
}

/// Whether an archive holds a text.
async fn archive_holds(archive: &Path, text: &str) -> Result<bool, Failure> {
    if !archive.exists() {
        return Ok(false);
    }
    let mut sh = Command::new("sh");
    sh.args(["-c", r#"gzip -dc "$0" | grep -qzaF -e "$1""#]).arg(archive).arg(text);
    Ok(sh.status().await?.success())
}

/// What a folder takes of the disk.
async fn size_kib(folder: &Path) -> Result<u64, Failure> {
    if !folder.exists() {
        return Ok(0);
    }
    let said = Command::new("du").arg("-sk").arg(folder).output().await?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let size = said.split_whitespace().next().ok_or("du says nothing")?;
    Ok(size.parse()?)
}

impl Seen {
    /// As a case would have said it.
    pub(crate) fn lines(&self) -> String {
        let reached = self.reached.iter().map(|what| format!("\n{REACHED}: {what}\n"));
        let refused = self.refused.iter().map(|what| format!("\nthe host refused: {what}\n"));
        refused.chain(reached).collect()
    }
}
