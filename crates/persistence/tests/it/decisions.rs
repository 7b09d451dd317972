//! Layer 3: decisions.md.

use std::fs;

use armor_core::decision::Decision;
use armor_core::event::{Consumer, SystemEvent, TaskEvent};
use armor_core::id::{AgentId, TaskId};
use armor_core::task::Task;
use armor_core::time::Timestamp;
use armor_persistence::{DecisionRecord, TaskFolder, decisions};
use proptest::prelude::*;

use crate::support::Home;

fn decision(number: i64) -> Decision {
    Decision::new(
        format!("Use format {number}."),
        "It is the one that people's tools read.".to_owned(),
        vec!["`gzip`, which is larger".to_owned(), "nothing\nat all".to_owned()],
        AgentId::parse("claude-1").unwrap(),
        Timestamp::from_millis(1_700_000_000_000 + number),
    )
    .unwrap()
}

/// A task about which so much was decided, with other events in between.
async fn decided(home: &Home, decisions: &[Decision]) -> Task {
    let task = home.task("decided").await;
    decide(home, &task.id, decisions).await;
    task
}

async fn decide(home: &Home, task: &TaskId, decisions: &[Decision]) {
    for decision in decisions {
        let failed = TaskEvent::CollectFailed { reason: "something in between".to_owned() };
        let events = [TaskEvent::Decided(decision.clone()).into(), failed.into()];
        home.registry.append(task, &events).await.unwrap();
    }
}

fn record(home: &Home) -> DecisionRecord {
    DecisionRecord::new(home.folders.clone(), home.registry.clone())
}

fn text(folder: &TaskFolder) -> String {
    fs::read_to_string(folder.decisions_file()).unwrap()
}

// R22
#[tokio::test]
async fn decisions_md_reads_well() {
    let home = Home::new().await;
    let plain = Decision::new(
        "Nothing more than that.".to_owned(),
        String::new(),
        Vec::new(),
        AgentId::person(),
        Timestamp::from_millis(1_700_000_060_000),
    );
    let task = decided(&home, &[decision(0), plain.unwrap()]).await;
    record(&home).apply(&home.events().await).await.unwrap();
    let text = text(&home.folders.of(&task.id));
    let shown: Vec<_> = text.lines().filter(|line| !line.starts_with("<!--")).collect();
    let expected = "\
# Decisions

## 1. 2023-11-14T22:13:20.000000Z, claude-1

> Use format 0.

### Why

> It is the one that people's tools read.

### Alternatives

- > `gzip`, which is larger
- > nothing
  > at all


## 2. 2023-11-14T22:14:20.000000Z, person

> Nothing more than that.
";
    assert_eq!(shown.join("\n"), expected);
    assert_eq!(text.lines().filter(|line| line.starts_with("<!-- event ")).count(), 2);
}

// R22
#[tokio::test]
async fn every_decision_stands_in_the_file_once_however_events_are_given() {
    let home = Home::new().await;
    let expected: Vec<_> = (0..4).map(decision).collect();
    let task = decided(&home, &expected).await;
    let folder = home.folders.of(&task.id);
    assert_eq!(decisions::load(&folder).unwrap(), []);
    let events = home.events().await;
    let record = record(&home);
    // In pieces, some of them twice, and one of them later: as after crashes, and when one was given up.
    for range in [0..3, 1..4, 7..8, 4..7, 0..events.len()] {
        record.apply(&events[range]).await.unwrap();
    }
    assert_eq!(decisions::load(&folder).unwrap(), expected);
}

// R22, R96: whatever the end is torn to, the next decision puts it right.
#[tokio::test]
async fn a_torn_end_of_decisions_md_is_mended_with_the_next_decision() {
    let home = Home::new().await;
    let expected: Vec<_> = (0..3).map(decision).collect();
    let task = decided(&home, &expected).await;
    let folder = home.folders.of(&task.id);
    let events = home.events().await;
    let record = record(&home);
    let before = events.len() - 2;
    record.apply(&events[..before]).await.unwrap();
    let whole = fs::read(folder.decisions_file()).unwrap();
    let last = String::from_utf8(whole.clone()).unwrap().rfind("\n## ").unwrap();
    // Where an entry ends the file is whole, and shorter.
    let torn = (0..whole.len())
        .filter(|end| *end > last || end % 97 == 0)
        .filter(|end| !whole[..*end].ends_with(b"-->\n"));
    let mut damages: Vec<Vec<u8>> = torn.map(|end| whole[..end].to_vec()).collect();
    // What was not written yet when the power failed may also be zeros.
    damages.push([&whole[..last + 30], &vec![0; whole.len() - last - 30]].concat());
    for damaged in damages {
        fs::write(folder.decisions_file(), damaged).unwrap();
        // The events before are behind the cursor: they are not given again.
        record.apply(&events[before..]).await.unwrap();
        assert_eq!(decisions::load(&folder).unwrap(), expected);
    }
}

#[tokio::test]
async fn a_changed_decision_is_found_with_its_line() {
    let home = Home::new().await;
    let task = decided(&home, &[decision(0), decision(1)]).await;
    let folder = home.folders.of(&task.id);
    record(&home).apply(&home.events().await).await.unwrap();
    let whole = text(&folder);
    let second = whole.rfind("\n## ").unwrap();
    let line = whole[..=second].lines().count() + 1;
    for (damaged, line) in [
        (whole.replace("format 1", "format 7"), line),
        (whole.replace("2. 2023", "3. 2023"), line),
        (whole.replace("format 0", "format 7"), 3),
        (whole.replace("# Decisions\n\n", "# Decisions\n"), 3),
        (whole[second..].to_owned(), 1),
        (format!("{whole}\nseen by me\n"), line),
        (format!("# Decisions\n{}", &whole[second..]), 3),
    ] {
        assert_ne!(damaged, whole);
        fs::write(folder.decisions_file(), &damaged).unwrap();
        let error = decisions::load(&folder).unwrap_err().to_string();
        assert!(error.contains(&format!("damaged: line {line}:")), "{error}\n{damaged}");
    }
    fs::write(folder.decisions_file(), [whole.as_bytes(), b"\xff"].concat()).unwrap();
    assert!(decisions::load(&folder).unwrap_err().to_string().contains("it is no text"));
}

// R14, R32
#[tokio::test]
async fn decisions_that_a_restored_table_lacks_are_kept_beside_the_file() {
    let home = Home::new().await;
    let task = home.task("restored").await;
    let folder = home.folders.of(&task.id);
    // The file is that of another history of the task.
    let other = Home::new().await;
    other.registry.create(&task).await.unwrap();
    decide(&other, &task.id, &[decision(7)]).await;
    let others = DecisionRecord::new(home.folders.clone(), other.registry.clone());
    others.apply(&other.events().await).await.unwrap();
    let lost = text(&folder);

    let restored = SystemEvent::BackupRestored { path: "a".into(), replaced: None };
    home.registry.announce(restored).await.unwrap();
    let event = home.events().await.last().unwrap().clone();
    let kept = folder.path().join(format!("decisions-before-{}.md", event.seq));
    let mut expected = Vec::new();
    for number in 0..3 {
        record(&home).apply(std::slice::from_ref(&event)).await.unwrap();
        assert_eq!(fs::read_to_string(&kept).unwrap(), lost);
        assert_eq!(decisions::load(&folder).unwrap(), expected);
        // The table goes on before the event is given again.
        decide(&home, &task.id, &[decision(number)]).await;
        expected.push(decision(number));
    }
}

#[tokio::test]
async fn a_task_without_decisions_and_a_deleted_one_get_no_file() {
    let home = Home::new().await;
    let quiet = home.task("quiet").await;
    let gone = decided(&home, &[decision(0)]).await;
    let deleted = TaskEvent::Deleted { name: "decided".to_owned() };
    home.registry.delete(&gone.id, 1, deleted.into()).await.unwrap();
    let restored = SystemEvent::BackupRestored { path: "a".into(), replaced: None };
    home.registry.announce(restored).await.unwrap();
    record(&home).apply(&home.events().await).await.unwrap();
    assert!(!home.folders.of(&quiet.id).exists());
    assert!(!home.folders.of(&gone.id).exists());
}

fn a_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ \t\r\n\\\\<>\\[\\]:!&#;0-9`a/\u{a0}\u{2028}\0-]{0,60}",
        prop::collection::vec(
            prop::sample::select(vec![
                "# Decisions",
                "## 2. 2023-11-14T22:13:20.000000Z, claude-1",
                "### Why",
                "### Alternatives",
                "- > no",
                "  > no",
                "> no",
                ">",
                "",
                " ",
                "```",
                "~~~ text",
                "<!-- event 3, sha256 0 -->",
                "<!--",
                "-->",
                "a  ",
                "a\r",
                "\\",
                "\\<!--",
                "&#60;",
                "---",
                "===",
                "[//]: # (x)",
                "\tx",
                "1. one",
                "| a |",
                "<b>",
                "\u{202e}",
                "\u{feff}",
            ]),
            0..6
        )
        .prop_map(|lines| lines.join("\n")),
    ]
}

prop_compose! {
    fn a_decision()(
        what in a_text().prop_filter("it says something", |what| !what.trim().is_empty()),
        why in a_text(),
        alternatives in prop::collection::vec(a_text(), 0..4),
        at in 0_i64..4_000_000_000_000_000,
    ) -> Decision {
        let by = AgentId::parse("claude-1@home.example:x_y").unwrap();
        Decision::new(what, why, alternatives, by, Timestamp::from_micros(at)).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // R22: whatever agents say is read back as they said it.
    #[test]
    fn decisions_are_read_back_without_loss(
        given in prop::collection::vec(a_decision(), 1..5), split in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let home = Home::new().await;
            let task = home.task("decided").await;
            let record = record(&home);
            let (one, other) = given.split_at(split.index(given.len()));
            for part in [one, other] {
                decide(&home, &task.id, part).await;
                record.apply(&home.events().await).await.unwrap();
            }
            let folder = home.folders.of(&task.id);
            assert_eq!(decisions::load(&folder).unwrap(), given);
        });
    }
}
