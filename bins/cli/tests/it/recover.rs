//! What is damaged of a task is found, told, and made again from what is left (R25).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use armor_testkit::{Home, Repository};
use serde_json::{Value, json};

use crate::support::{armor, json, refused};

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Missing,
    Truncated,
    Flipped,
}

/// A layer, as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    State,
    Audit,
    Decisions,
    Checkpoint,
}

const HARMS: [Harm; 3] = [Harm::Missing, Harm::Truncated, Harm::Flipped];
const LAYERS: [Layer; 4] = [Layer::State, Layer::Audit, Layer::Decisions, Layer::Checkpoint];

/// A home with a task of which every layer has something, and a copy of it.
struct Prepared {
    home: Home,
    task: String,
    checkpoint: String,
    copy: PathBuf,
}

impl Prepared {
    fn new() -> Self {
        let home = Home::new();
        let repository = Repository::make(home.user().join("project"));
        let path = repository.path().to_str().unwrap().to_owned();
        let create = ["create-task", "a task", "--workspace", &path, "--metadata", r#"{"a":1}"#];
        let task = json(&home, &create)["task_id"].as_str().unwrap().to_owned();
        let taken = json(&home, &["checkpoint", "create", "a task", "--name", "one"]);
        json(&home, &["decisions", "add", "a task", "use a map", "--by", "claude"]);
        json(&home, &["decisions", "add", "a task", "no cache", "--by", "claude"]);
        let copy = home.user().join("copy");
        copy_all(&home.path(), &copy);
        let checkpoint = taken["checkpoint_id"].as_str().unwrap().to_owned();
        Self { home, task, checkpoint, copy }
    }

    /// Makes everything as it was.
    fn again(&self) {
        for entry in fs::read_dir(self.home.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        copy_all(&self.copy.join("."), &self.home.path());
    }

    fn file(&self, layer: Layer) -> PathBuf {
        let folder = self.home.path().join("tasks").join(&self.task);
        match layer {
            Layer::State => folder.join("state.json"),
            Layer::Audit => folder.join("logs/audit.jsonl"),
            Layer::Decisions => folder.join("decisions.md"),
            Layer::Checkpoint => {
                let manifests = self.home.path().join("checkpoints/manifests").join(&self.task);
                manifests.join(format!("{}.json", self.checkpoint))
            }
        }
    }

    fn harm(&self, layer: Layer, harm: Harm) {
        let file = self.file(layer);
        let mut bytes = fs::read(&file).unwrap();
        match harm {
            Harm::Missing => return fs::remove_file(file).unwrap(),
            Harm::Truncated => bytes.truncate(bytes.len() / 2),
            Harm::Flipped => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
        }
        fs::write(file, bytes).unwrap();
    }

    fn lose_the_database(&self) {
        for name in ["armor.db", "armor.db-wal", "armor.db-shm"] {
            let _none = fs::remove_file(self.home.path().join(name));
        }
    }

    /// How many events are whole in front of the harm.
    fn whole_events(&self) -> u64 {
        let mut events = 0;
        let bytes = fs::read(self.file(Layer::Audit)).unwrap_or_default();
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let before = self.original(Layer::Audit);
        for (line, original) in lines.zip(before.split_inclusive(|byte| *byte == b'\n')) {
            if line != original {
                break;
            }
            events += 1;
        }
        events
    }

    fn original(&self, layer: Layer) -> Vec<u8> {
        let file = self.file(layer);
        let below = file.strip_prefix(self.home.path()).unwrap();
        fs::read(self.copy.join(below)).unwrap()
    }
}

fn copy_all(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(done.success());
}

/// What harm there is, by layer.
type Harms<'a> = &'a [(Layer, Harm)];

fn harm_of(harms: Harms<'_>, layer: Layer) -> Option<Harm> {
    harms.iter().find(|(harmed, _)| *harmed == layer).map(|(_, harm)| *harm)
}

fn texts(value: &Value) -> BTreeSet<String> {
    let texts = value.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// What is to be lost, and from what it is made again, where the registry has the task.
fn with_database(prepared: &Prepared, harms: Harms<'_>) -> (&'static str, BTreeSet<String>) {
    let mut loses = BTreeSet::new();
    if harm_of(harms, Layer::Checkpoint) == Some(Harm::Missing) {
        loses.insert(format!("checkpoint {}, whose files are gone", prepared.checkpoint));
    }
    ("database", loses)
}

/// The same where it does not have it; none where nothing is left.
fn without_database(
    prepared: &Prepared,
    harms: Harms<'_>,
    taken_at: &str,
) -> Option<(&'static str, BTreeSet<String>)> {
    let is_whole = |layer| harm_of(harms, layer).is_none();
    let events = prepared.whole_events();
    let mut loses = BTreeSet::new();
    if !is_whole(Layer::Audit) {
        loses.insert(match events {
            0 => "its history".to_owned(),
            events => format!("its history behind event {events}"),
        });
    }
    if is_whole(Layer::State) {
        return Some((if events > 0 { "state_and_audit" } else { "state" }, loses));
    }
    let checkpoint = || {
        let mut loses = loses.clone();
        loses.insert(format!("what became of it since {taken_at}"));
        ("checkpoint", loses)
    };
    // It was taken ahead of its event.
    let is_checkpoint_later = events < 2;
    if events == 0 || (is_checkpoint_later && is_whole(Layer::Checkpoint)) {
        return is_whole(Layer::Checkpoint).then(checkpoint);
    }
    loses.insert("its metadata and certificates".to_owned());
    if !is_whole(Layer::Audit) {
        let text = prepared.original(Layer::Audit);
        let line = text.split(|byte| *byte == b'\n').nth(usize::try_from(events).unwrap() - 1);
        let line: Value = serde_json::from_slice(line.unwrap()).unwrap();
        let at = line["event"]["at"].as_str().unwrap();
        loses.insert(format!("what became of it since {at}"));
    }
    Some(("audit", loses))
}

fn every_combination() -> Vec<Vec<(Layer, Harm)>> {
    let mut all = vec![Vec::new()];
    for one in LAYERS {
        for harm in HARMS {
            all.push(vec![(one, harm)]);
            for other in LAYERS.into_iter().filter(|other| *other > one) {
                all.extend(HARMS.map(|second| vec![(one, harm), (other, second)]));
            }
        }
    }
    all
}

// R25: every layer alone and in pairs, missing, cut off and changed, with the database.
#[test]
fn whatever_is_damaged_is_made_again_from_the_database() {
    let prepared = Prepared::new();
    let home = &prepared.home;
    for harms in every_combination() {
        prepared.again();
        for (layer, harm) in &harms {
            prepared.harm(*layer, *harm);
        }
        let dry = json(home, &["recover", "a task", "--dry-run"])["tasks"][0].clone();
        let damaged: BTreeSet<_> = dry["findings"].as_array().unwrap().iter().map(layer).collect();
        let expected: BTreeSet<_> = harms.iter().map(|(layer, _)| name(*layer)).collect();
        assert_eq!(damaged, expected, "{harms:?}");
        let said = armor(home, &["--json", "recover", "a task"]);
        let told: Value = serde_json::from_str(&said.out).unwrap();
        let told = &told["tasks"][0];
        if harms.is_empty() {
            assert_eq!(told["options"], json!([]));
            continue;
        }
        let (from, loses) = with_database(&prepared, &harms);
        assert_eq!(told["options"][0]["from"], from, "{harms:?}");
        assert_eq!(texts(&told["options"][0]["loses"]), loses, "{harms:?}");
        // A manifest that is damaged may come back with its file: it stays.
        let is_left =
            matches!(harm_of(&harms, Layer::Checkpoint), Some(Harm::Truncated | Harm::Flipped));
        let left: Vec<_> = told["left"].as_array().unwrap().iter().map(layer).collect();
        assert_eq!(left, if is_left { vec!["checkpoints"] } else { vec![] }, "{harms:?}");
        assert_eq!(said.code, i32::from(is_left), "{harms:?}");
        assert_decided_and_verified(home, 2, &format!("{harms:?}"));
    }
}

// R25: the same without the database: tasks are rebuilt from the layers.
#[test]
fn whatever_is_damaged_a_task_is_made_again_from_what_is_left() {
    let prepared = Prepared::new();
    let home = &prepared.home;
    let shown = json(home, &["checkpoint", "show", "a task", "one"]);
    let taken_at = shown["created_at"].as_str().unwrap().to_owned();
    for harms in every_combination() {
        prepared.again();
        prepared.lose_the_database();
        for (layer, harm) in &harms {
            prepared.harm(*layer, *harm);
        }
        let what = format!("{harms:?}");
        let Some((from, loses)) = without_database(&prepared, &harms, &taken_at) else {
            let code = refused(home, &["recover", &prepared.task], 3);
            assert_eq!(code, "recovery.no_option", "{what}");
            assert!(prepared.file(Layer::State).parent().unwrap().join("workspace").exists());
            continue;
        };
        let said = armor(home, &["--json", "recover", "--all"]);
        let told: Value = serde_json::from_str(&said.out).unwrap();
        let told = &told["tasks"][0];
        assert_eq!(told["options"][0]["from"], from, "{what}: {told}");
        assert_eq!(texts(&told["options"][0]["loses"]), loses, "{what}");
        let task = json(home, &["show", "a task"])["task"].clone();
        assert_eq!(task["task_id"], json!(prepared.task), "{what}");
        let metadata = if from == "audit" { json!({}) } else { json!({ "a": 1 }) };
        assert_eq!((&task["metadata"], &task["status"]), (&metadata, &json!("pending")), "{what}");
        assert_eq!(task["branch"], format!("task/{}", prepared.task), "{what}");
        let checkpoints = json(home, &["checkpoint", "list", "a task"])["checkpoints"].clone();
        let is_there = harm_of(&harms, Layer::Checkpoint).is_none();
        assert_eq!(checkpoints.as_array().unwrap().len(), usize::from(is_there), "{what}");
        // Each of the two alone brings the decisions back.
        let are_there =
            harm_of(&harms, Layer::Audit).is_none() || harm_of(&harms, Layer::Decisions).is_none();
        if are_there {
            assert_decided_and_verified(home, 2, &what);
        }
        // It goes on: what happens next follows what was.
        json(home, &["checkpoint", "create", "a task"]);
        json(home, &["audit", "verify", "a task"]);
        assert_eq!(json(home, &["recover", "--all"])["tasks"], json!([]), "{what}");
    }
}

fn assert_decided_and_verified(home: &Home, decisions: usize, what: &str) {
    let decided = json(home, &["decisions", "list", "a task"])["decisions"].clone();
    assert_eq!(decided.as_array().unwrap().len(), decisions, "{what}");
    json(home, &["audit", "verify", "a task"]);
}

fn layer(finding: &Value) -> String {
    finding["layer"].as_str().unwrap().to_owned()
}

fn name(layer: Layer) -> String {
    let name = match layer {
        Layer::State => "state",
        Layer::Audit => "audit",
        Layer::Decisions => "decisions",
        Layer::Checkpoint => "checkpoints",
    };
    name.to_owned()
}

// R25: a person may choose another option than the best, and what does not exist is refused.
#[test]
fn another_option_can_be_chosen() {
    let prepared = Prepared::new();
    let home = &prepared.home;
    prepared.lose_the_database();
    let dry = json(home, &["recover", &prepared.task[..12], "--dry-run"])["tasks"][0].clone();
    let from: Vec<_> =
        dry["options"].as_array().unwrap().iter().map(|o| o["from"].clone()).collect();
    assert_eq!(from, ["state_and_audit", "audit", "checkpoint"]);
    assert!(json(home, &["list-tasks"])["tasks"].as_array().unwrap().is_empty());
    for none in ["0", "4"] {
        let code = refused(home, &["recover", &prepared.task, "--option", none], 3);
        assert_eq!(code, "recovery.no_option");
    }
    let told = json(home, &["recover", &prepared.task, "--option", "2"])["tasks"][0].clone();
    assert_eq!(told["left"], json!([]), "{told}");
    let task = json(home, &["show", "a task"])["task"].clone();
    assert_eq!(task["metadata"], json!({}));
    assert_eq!(refused(home, &["recover", "nobody"], 3), "task.not_found");
}

// R25: what somebody deleted does not come again.
#[test]
fn a_task_that_was_deleted_is_not_made_again() {
    let prepared = Prepared::new();
    let home = &prepared.home;
    let folder = home.path().join("tasks").join(&prepared.task);
    json(home, &["cleanup-task", "a task", "--force"]);
    let _none = fs::remove_dir_all(&folder);
    copy_all(&prepared.copy.join("tasks").join(&prepared.task), &folder);
    let dry = json(home, &["recover", &prepared.task, "--dry-run"])["tasks"][0].clone();
    assert_eq!(dry["findings"][0]["finding"], "the task was deleted", "{dry}");
    assert_eq!(dry["options"], json!([]));
    assert_eq!(refused(home, &["recover", &prepared.task], 3), "recovery.no_option");
    assert!(json(home, &["list-tasks"])["tasks"].as_array().unwrap().is_empty());
}

// R25: what runs goes on, and is found again: the home keeps its id without its database.
#[tokio::test]
async fn engine_a_sandbox_of_a_task_that_is_made_again_is_its_own() {
    armor_testkit::require_engine!();
    let prepared = Prepared::new();
    let home = &prepared.home;
    let begun = ["exec", "a task", "--background", "--", "sleep", "600"];
    let execution = json(home, &begun)["execution_id"].clone();
    json(home, &["exec", "a task", "--", "touch", "/tmp/only-there"]);
    prepared.lose_the_database();
    let told = json(home, &["recover", "--all"])["tasks"][0].clone();
    assert_eq!((&told["options"][0]["loses"], &told["left"]), (&json!([]), &json!([])), "{told}");
    let seen = json(home, &["exec", "a task", "--", "ls", "/tmp/only-there"]);
    assert_eq!(seen["exit_code"], 0, "it is the same sandbox: {seen}");
    let executions = json(home, &["executions", "list", "a task"]);
    let running =
        executions.as_array().unwrap().iter().find(|one| one["execution_id"] == execution);
    assert_eq!(running.unwrap()["status"], "running", "{executions}");
    json(home, &["cleanup-task", "a task", "--force"]);
    assert!(home.leftovers().await.is_empty());
}
