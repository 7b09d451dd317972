//! `armor` as an ordinary user runs it: nothing takes root, and whatever comes of it is theirs (R51, R53).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use armor_testkit::{Home, OrdinaryUser, require_engine};
use serde_json::{Value, json};

use crate::support::Said;

/// Somebody with the program.
struct Person<'a>(OrdinaryUser<'a>);

impl<'a> Person<'a> {
    fn of(home: &'a Home) -> Option<Self> {
        OrdinaryUser::of(home, Path::new(env!("CARGO_BIN_EXE_armor"))).map(Self)
    }

    fn armor(&self, arguments: &[&str]) -> Said {
        said(self.0.own_program().args(arguments))
    }

    /// Runs the program with `--json`; it has to end well.
    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.armor(&[&["--json"], arguments].concat());
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    /// Lets a task's sandbox read a line, which has to end well, and gives what that says.
    fn inside(&self, task: &str, line: &str) -> String {
        let said = self.armor(&["exec", "--shell", task, line]);
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said.out
    }

    /// Lets a shell of the machine's read a line in a folder, as them.
    fn outside(&self, folder: &Path, line: &str) -> String {
        let said = said(self.0.command("sh").args(["-c", line]).current_dir(folder));
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said.out
    }

    /// What in a folder, and below, is not theirs.
    fn not_theirs(&self, folder: &Path) -> Vec<PathBuf> {
        let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                // What goes meanwhile is nobody's.
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() {
                    folders.push(entry.path());
                }
                if (metadata.uid(), metadata.gid()) != self.0.ids() {
                    found.push(entry.path());
                }
            }
        }
        found
    }
}

fn said(command: &mut Command) -> Said {
    command.stdin(Stdio::null()).output().unwrap().into()
}

#[tokio::test]
async fn engine_what_an_ordinary_user_and_their_sandbox_make_is_the_users_on_both_sides() {
    require_engine!();
    // With git in its image, so that there is a commit to bring home.
    let home = Home::with_base_image();
    let project = home.repository().path().to_owned();
    let Some(person) = Person::of(&home) else { return };
    let (uid, _) = person.0.ids();
    assert_ne!(uid, 0);
    let created = person.json(&["create-task", "t", "--workspace", project.to_str().unwrap()]);
    let task = created["task_id"].as_str().unwrap();
    let folder = home.path().join("tasks").join(task);
    let (workspace, memory) = (folder.join("workspace"), folder.join("memory"));

    // What is made inside is the user's outside, who can remove it.
    let line = "id -u; mkdir made $HOME/made && echo inside | tee made/file $HOME/made/file";
    assert_eq!(person.inside(task, line), format!("{uid}\ninside\n"));
    for place in [&workspace, &memory] {
        for made in ["made", "made/file"] {
            let metadata = fs::metadata(place.join(made)).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), person.0.ids(), "{made}");
        }
        assert_eq!(person.outside(place, "cat made/file && rm -r made"), "inside\n");
    }

    // What the user makes outside is the commands' inside.
    person.outside(&workspace, "mkdir given && echo outside > given/file");
    let line = "echo inside >> given/file && cat given/file && rm -r given";
    assert_eq!(person.inside(task, line), "outside\ninside\n");

    // A command goes on when the program that began it has ended.
    let line = "until test -e go; do sleep 0.02; done; id -u; exit 5";
    let begun = person.json(&["exec", "--background", "--shell", task, line]);
    let execution = begun["execution_id"].as_str().unwrap();
    person.outside(&workspace, "touch go");
    let followed = person.armor(&["executions", "logs", "--follow", task, execution]);
    assert_eq!((followed.code, followed.out), (5, format!("{uid}\n")), "{}", followed.err);

    let doctor = person.json(&["doctor"]);
    assert_eq!(doctor["healthy"], true, "{doctor:#}");

    // The work comes home.
    let line = "echo work > work && git add work && git commit -qm work && git rev-parse HEAD";
    let head = person.inside(task, line);
    // What its owner may not enter or write to goes with the rest, without root's rights.
    let line = "cd && mkdir -p shut/inner && touch shut/inner/file && chmod 0 shut/inner && chmod 0555 shut";
    person.inside(task, line);
    let done = person.json(&["complete-task", task]);
    assert_eq!(done["status"], json!("completed"), "{done:#}");
    let branch = done["branch"].as_str().unwrap();
    assert_eq!(person.outside(&project, &format!("git rev-parse {branch}")), head);
    let above = home.path().parent().unwrap().to_owned();
    assert_eq!(person.not_theirs(&above), Vec::<PathBuf>::new());

    person.json(&["cleanup-task", task, "--force"]);
    assert_eq!(fs::read_dir(home.path().join("trash")).unwrap().count(), 0);
    assert!(home.leftovers().await.is_empty());
    assert_eq!(person.outside(&project, &format!("git rev-parse {branch}")), head);
}

// Commands are the same user as Armor here, so the folder of their runner's socket is theirs.
#[tokio::test]
async fn engine_an_ordinary_users_command_that_takes_its_runners_socket_away_harms_itself() {
    require_engine!();
    let home = Home::new();
    let Some(person) = Person::of(&home) else { return };
    let created = person.json(&["create-task", "t"]);
    let task = created["task_id"].as_str().unwrap();
    let socket = "/run/armor/host/runner.sock";
    for harm in [
        format!("rm {socket}"),
        format!("rm {socket} && mkdir -p {socket}/deep && chmod 0 {socket} /run/armor/host"),
    ] {
        person.inside(task, &harm);
        assert_eq!(person.inside(task, "echo alive"), "alive\n", "{harm}");
    }
    person.json(&["cleanup-task", task, "--force"]);
    assert_eq!(fs::read_dir(home.path().join("trash")).unwrap().count(), 0);
    assert!(home.leftovers().await.is_empty());
}

// Moving a folder into another one takes the right to write to it, which its mode may deny its owner.
#[tokio::test]
async fn engine_an_ordinary_user_forks_a_task_whose_folders_may_not_be_written_to() {
    require_engine!();
    let home = Home::new();
    let Some(person) = Person::of(&home) else { return };
    person.json(&["create-task", "t"]);
    person.inside("t", "echo work > work; echo kept > ~/kept; chmod 0555 . ~");
    person.json(&["checkpoint", "create", "t", "--name", "one"]);
    person.json(&["fork", "t", "one", "--name", "fork"]);
    let line = "cat work ~/kept; for folder in . ~; do test -w $folder || echo shut; done";
    assert_eq!(person.inside("fork", line), "work\nkept\nshut\nshut\n");
    for task in ["t", "fork"] {
        person.json(&["cleanup-task", task, "--force"]);
    }
    assert_eq!(fs::read_dir(home.path().join("trash")).unwrap().count(), 0);
    assert!(home.leftovers().await.is_empty());
}
