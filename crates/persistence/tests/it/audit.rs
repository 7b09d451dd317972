//! Layer 2: the audit log.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use armor_core::event::{Consumer, Event, Level, SystemEvent, TaskEvent};
use armor_core::id::AgentId;
use armor_core::recovery::RecoverySource;
use armor_core::task::Task;
use armor_core::time::{Clock, SystemClock};
use armor_persistence::audit::AuditFilter;
use armor_persistence::{AuditTrail, StorageError, TaskFolder, audit};
use armor_registry::EventQuery;
use proptest::prelude::*;

use crate::support::Home;

async fn busy_task(home: &Home) -> Task {
    let mut task = home.task("audited").await;
    for n in 0..3 {
        let agent = AgentId::parse(format!("agent-{n}")).unwrap();
        for change in [
            |task: &Task, agent| task.attach(agent, SystemClock.now()).unwrap(),
            |task: &Task, _| task.detach(None, SystemClock.now()).unwrap(),
        ] {
            let change = change(&task, agent.clone());
            home.registry.commit(&change).await.unwrap();
            task = change.after;
        }
    }
    task
}

fn ids(home_events: &[Event]) -> Vec<String> {
    home_events.iter().map(|event| event.id.to_string()).collect()
}

fn ids_in(folder: &TaskFolder) -> Vec<String> {
    let mut ids = Vec::new();
    let verified = audit::verify_each(folder, &mut |line| {
        let event: serde_json::Value = serde_json::from_str(line.get()).unwrap();
        ids.push(event["id"].as_str().unwrap().to_owned());
    });
    assert_eq!(verified.unwrap().events, ids.len() as u64);
    ids
}

/// The files of the log, the oldest lines first, and nothing else that lies there.
fn files(folder: &TaskFolder) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.logs()).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    // `audit.0…` sorts before `audit.j…`.
    files.sort();
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// The text of a file, decompressed where it is an archive.
fn text(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "zst") {
        zstd::decode_all(bytes.as_slice()).unwrap()
    } else {
        bytes
    }
}

fn write(path: &Path, text: &[u8]) {
    if path.extension().is_some_and(|extension| extension == "zst") {
        fs::write(path, zstd::encode_all(text, 1).unwrap()).unwrap();
    } else {
        fs::write(path, text).unwrap();
    }
}

/// A trail that archives about three events at a time.
fn small_trail(home: &Home) -> AuditTrail {
    AuditTrail::new(home.folders.clone(), home.registry.clone()).archiving_at(1000)
}

/// A task whose log is three archives and some lines that are not archived.
async fn archived(home: &Home) -> (Task, TaskFolder, Vec<Event>) {
    let task = busy_task(home).await;
    let events = home.events().await;
    let trail = small_trail(home);
    for event in &events {
        trail.apply(std::slice::from_ref(event)).await.unwrap();
    }
    let folder = home.folders.of(&task.id);
    assert!(files(&folder).len() > 2, "{:?}", files(&folder));
    (task, folder, events)
}

// R21
#[tokio::test]
async fn the_audit_log_holds_every_event_once_however_they_are_given() {
    let home = Home::new().await;
    let task = busy_task(&home).await;
    let events = home.events().await;
    let trail = AuditTrail::new(home.folders.clone(), home.registry.clone());
    // In pieces, some of them twice, one of them skipped: as after crashes.
    for range in [0..2, 1..3, 0..4, 5..6, 4..events.len(), 0..events.len()] {
        trail.apply(&events[range]).await.unwrap();
    }
    assert_eq!(ids_in(&home.folders.of(&task.id)), ids(&events));
}

// R21: a torn or damaged end is mended from the event table.
#[tokio::test]
async fn a_torn_last_line_is_mended_with_the_next_event() {
    let home = Home::new().await;
    let task = busy_task(&home).await;
    let events = home.events().await;
    let trail = AuditTrail::new(home.folders.clone(), home.registry.clone());
    let folder = home.folders.of(&task.id);
    let (last, before) = events.split_last().unwrap();
    for damage in [
        |text: &mut Vec<u8>| text.truncate(text.len() - 9),
        |text: &mut Vec<u8>| {
            let place = text.len() - 100;
            text[place] ^= 1;
        },
    ] {
        if folder.exists() {
            fs::remove_file(folder.audit_file()).unwrap();
        }
        trail.apply(before).await.unwrap();
        let mut text = fs::read(folder.audit_file()).unwrap();
        damage(&mut text);
        fs::write(folder.audit_file(), text).unwrap();
        assert!(audit::verify(&folder).is_err());
        trail.apply(std::slice::from_ref(last)).await.unwrap();
        assert_eq!(ids_in(&folder), ids(&events));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // R21: any line that was changed, removed or put in is found offline.
    #[test]
    fn no_line_can_be_changed_removed_or_put_in_unnoticed(
        kind in 0_u8..4, place in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let home = Home::new().await;
            let task = busy_task(&home).await;
            AuditTrail::new(home.folders.clone(), home.registry.clone())
                .apply(&home.events().await).await.unwrap();
            let folder = home.folders.of(&task.id);
            let text = fs::read(folder.audit_file()).unwrap();
            let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
            let mut forged = lines.clone();
            let mut flipped = text.clone();
            let forged = match kind {
                // Cutting whole lines off the end is the one thing that a chain cannot show by
                // itself; the event table shows it.
                0 => { forged.remove(place.index(lines.len() - 1)); forged.concat() }
                1 => { forged.insert(place.index(lines.len()), lines[other.index(lines.len())]); forged.concat() }
                2 => {
                    let (a, b) = (place.index(lines.len()), other.index(lines.len()));
                    forged.swap(a, b);
                    forged.concat()
                }
                _ => { flipped[place.index(text.len())] ^= 1 << bit; flipped }
            };
            if forged != text {
                fs::write(folder.audit_file(), &forged).unwrap();
                assert!(audit::verify(&folder).is_err(), "{}", String::from_utf8_lossy(&forged));
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    // R21: the same in any of several files, and between them.
    #[test]
    fn no_line_of_an_archive_can_be_changed_removed_or_put_in_unnoticed(
        kind in 0_u8..4, file in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let home = Home::new().await;
            let (_, folder, _) = archived(&home).await;
            let files = files(&folder);
            let texts: Vec<_> = files.iter().map(|file| text(file)).collect();
            let lines_of = |text: &[u8]| -> Vec<Vec<u8>> {
                text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
            };
            // Of the file that is written to, too; but that its last lines are cut off shows in the
            // event table alone.
            let file = file.index(files.len());
            let from = lines_of(&texts[from.index(texts.len())]);
            let mut lines = lines_of(&texts[file]);
            let last = usize::from(file + 1 == files.len());
            match kind {
                0 if lines.len() > last => { lines.remove(place.index(lines.len() - last)); }
                1 => lines.insert(place.index(lines.len() + 1), other.get(&from).clone()),
                2 => { let index = place.index(lines.len()); lines[index] = other.get(&from).clone(); }
                _ => {
                    let index = place.index(lines.len());
                    let byte = other.index(lines[index].len());
                    lines[index][byte] ^= 1 << bit;
                }
            }
            let forged = lines.concat();
            if forged != texts[file] {
                write(&files[file], &forged);
                let error = audit::verify(&folder).unwrap_err();
                assert!(matches!(error, StorageError::Damaged { .. }), "{error:?}");
            }
        });
    }
}

// R14, R32: what the backup does not know is kept, also when the event is given twice.
#[tokio::test]
async fn what_the_table_lacks_after_a_restoration_is_kept_once_and_for_all() {
    let home = Home::new().await;
    let task = busy_task(&home).await;
    let folder = home.folders.of(&task.id);
    let trail = AuditTrail::new(home.folders.clone(), home.registry.clone());
    // The file is that of another history of the task: with lines that the table does not know.
    let other = Home::new().await;
    let others = AuditTrail::new(home.folders.clone(), other.registry.clone());
    other.registry.create(&task).await.unwrap();
    others.apply(&other.events().await).await.unwrap();
    let lost = fs::read(folder.audit_file()).unwrap();

    let restored = SystemEvent::BackupRestored { path: "a".into(), replaced: None };
    home.registry.announce(restored).await.unwrap();
    let events = home.events().await;
    let event = events.last().unwrap().clone();
    let kept = folder.audit_file().with_file_name(format!("audit-before-{}.jsonl", event.seq));
    for _ in 0..2 {
        trail.apply(std::slice::from_ref(&event)).await.unwrap();
        assert_eq!(fs::read(&kept).unwrap(), lost);
        let table = home.registry.events(&task.id, EventQuery::default()).await.unwrap();
        assert_eq!(ids_in(&folder), ids(&table));
        // The table goes on before the event is given again.
        let detached = task.attach(AgentId::parse("late").unwrap(), SystemClock.now()).unwrap();
        home.registry.append(&task.id, &detached.events).await.unwrap();
    }
}

// R21
#[tokio::test]
async fn a_file_past_the_limit_becomes_an_archive_and_the_chain_goes_on() {
    let home = Home::new().await;
    let (_, folder, events) = archived(&home).await;
    assert_eq!(ids_in(&folder), ids(&events));
    let files = files(&folder);
    let mut next = 1;
    for archive in &files[..files.len() - 1] {
        let lines = text(archive).split_inclusive(|byte| *byte == b'\n').count() as u64;
        let expected = format!("audit.{next:010}-{:010}.jsonl.zst", next + lines - 1);
        assert_eq!(name(archive), expected);
        next += lines;
    }
    assert_eq!(name(files.last().unwrap()), "audit.jsonl");
    // One file or many: it is the same log.
    let other = Home::new().await;
    other
        .registry
        .create(&home.registry.get(events[0].task().unwrap()).await.unwrap())
        .await
        .unwrap();
    AuditTrail::new(other.folders.clone(), home.registry.clone()).apply(&events).await.unwrap();
    let whole = other.folders.of(events[0].task().unwrap());
    assert_eq!(audit::verify(&whole).unwrap(), audit::verify(&folder).unwrap());
    let joined: Vec<u8> = files.iter().flat_map(|file| text(file)).collect();
    assert_eq!(fs::read(whole.audit_file()).unwrap(), joined);
}

// R21, R96: every state in which a kill can leave the files.
#[tokio::test]
async fn an_archive_that_was_being_made_is_finished_with_the_next_event() {
    let home = Home::new().await;
    let (_, folder, events) = archived(&home).await;
    let whole = files(&folder);
    let archive = whole[whole.len() - 2].clone();
    let begins: u64 = name(&archive)[6..16].parse().unwrap();
    let ends: u64 = name(&archive)[17..27].parse().unwrap();
    let compressed = fs::read(&archive).unwrap();
    let lines = text(&archive);
    let behind = usize::try_from(ends).unwrap();
    let before = &whole[..whole.len() - 2];
    let beside = folder.logs().join("audit.archive.new");
    let trail = small_trail(&home);

    let mut states: Vec<(&str, Option<&[u8]>, bool, bool)> = Vec::new();
    // What is beside its place, whether the archive has its name, whether the file is still there.
    for length in [0, 1, compressed.len() / 2, compressed.len()] {
        states.push(("compressing", Some(&compressed[..length]), false, true));
    }
    states.push(("named", None, true, true));
    states.push(("removed", None, true, false));
    for (state, half, is_named, is_there) in states {
        for again in [0, 2] {
            for path in files(&folder).into_iter().filter(|path| !before.contains(path)) {
                fs::remove_file(path).unwrap();
            }
            if is_named {
                fs::write(&archive, &compressed).unwrap();
            }
            if is_there {
                fs::write(folder.audit_file(), &lines).unwrap();
            }
            if let Some(half) = half {
                fs::write(&beside, half).unwrap();
            }
            let verified = audit::verify(&folder).unwrap();
            assert_eq!(verified.events, ends, "{state}");
            let loaded = audit::load(&folder, &AuditFilter::default()).unwrap();
            assert_eq!((loaded.entries.len() as u64, loaded.skipped), (ends, 0), "{state}");
            // With what comes next, or with what was given already, too.
            for event in &events[behind - again..] {
                trail.apply(std::slice::from_ref(event)).await.unwrap();
            }
            assert_eq!(ids_in(&folder), ids(&events), "{state} from {begins}");
            let names: Vec<_> = files(&folder).into_iter().filter(|path| *path != beside).collect();
            if is_named {
                assert_eq!(names, whole, "{state}");
            }
        }
    }
}

// R21
#[tokio::test]
async fn archives_are_left_alone_when_a_torn_end_behind_them_is_mended() {
    let home = Home::new().await;
    let (_, folder, events) = archived(&home).await;
    let active = folder.audit_file();
    let torn = fs::read(&active).unwrap();
    fs::write(&active, &torn[..torn.len() - 3]).unwrap();
    let archives: Vec<_> = files(&folder).into_iter().filter(|path| *path != active).collect();
    let inodes =
        || archives.iter().map(|path| fs::metadata(path).unwrap().ino()).collect::<Vec<_>>();
    let before = inodes();
    small_trail(&home).apply(&events[events.len() - 1..]).await.unwrap();
    assert_eq!(inodes(), before);
    assert_eq!(fs::read(&active).unwrap(), torn);
    assert_eq!(ids_in(&folder), ids(&events));
}

// R21, R96
#[tokio::test]
async fn a_log_that_was_being_written_anew_is_written_anew_with_the_next_event() {
    let home = Home::new().await;
    let (task, folder, events) = archived(&home).await;
    let whole: Vec<_> =
        files(&folder).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    let joined: Vec<u8> = whole.iter().flat_map(|(_, path)| text(path)).collect();
    // Each set of archives that a kill can leave, with each active file there can be beside them.
    for left in 0..whole.len() {
        for active in [None, Some(&whole.last().unwrap().0), Some(&joined)] {
            for path in files(&folder) {
                fs::remove_file(path).unwrap();
            }
            for (bytes, path) in &whole[..left] {
                fs::write(path, bytes).unwrap();
            }
            let stray = folder.logs().join("audit.0000000001-0000000002.jsonl.zst.new");
            fs::write(&stray, "half").unwrap();
            if let Some(active) = active {
                fs::write(folder.audit_file(), active).unwrap();
            }
            let late = task.attach(AgentId::parse("late").unwrap(), SystemClock.now()).unwrap();
            home.registry.append(&task.id, &late.events).await.unwrap();
            let all = home.events().await;
            small_trail(&home).apply(&all[all.len() - 1..]).await.unwrap();
            assert_eq!(ids_in(&folder), ids(&all), "{left} archives were left");
        }
    }
    assert!(home.events().await.len() > events.len());
}

// R21, R25: a corrupt line is skipped, told of, and put right from the event table.
#[tokio::test]
async fn what_cannot_be_read_is_skipped_and_told_of_and_can_be_mended() {
    let home = Home::new().await;
    let (task, folder, events) = archived(&home).await;
    let trail = small_trail(&home);
    let files = files(&folder);
    let whole: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let all = AuditFilter::default();
    let mend = async || {
        let recovered = TaskEvent::Recovered { from: RecoverySource::Database, events: 0 };
        home.registry.append(&task.id, &[recovered.into()]).await.unwrap();
        let all = home.events().await;
        trail.apply(&all[all.len() - 1..]).await.unwrap();
        assert_eq!(ids_in(&folder), ids(&all));
    };

    // A line in the middle of an archive, a torn end of the active file, an archive that cannot be
    // decompressed to its end.
    let mut changed = text(&files[0]);
    let second = changed.iter().position(|byte| *byte == b'\n').unwrap() + 20;
    changed[second] ^= 1;
    write(&files[0], &changed);
    let active = files.last().unwrap();
    fs::write(active, &whole.last().unwrap()[..whole.last().unwrap().len() - 5]).unwrap();
    let loaded = audit::load(&folder, &all).unwrap();
    assert_eq!(loaded.skipped, 2);
    assert_eq!(loaded.entries.len(), events.len() - 2);
    assert_eq!((&loaded.findings[0].file, loaded.findings[0].line), (&files[0], 2));
    assert_eq!(&loaded.findings[1].file, active);
    assert!(loaded.findings[1].reason.contains("torn"), "{loaded:?}");
    let (read, wrong) = audit::events(&folder).unwrap();
    assert_eq!(read, events[..1]);
    let wrong = wrong.unwrap();
    assert!(
        matches!(&wrong, StorageError::Damaged { path, reason } if *path == files[0] && reason.starts_with("line 2: ")),
        "{wrong}"
    );
    mend().await;
    let damaged = folder.logs().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let kept = damaged.filter(|path| path.to_str().unwrap().contains("audit-before-")).count();
    assert!(kept > 0, "what was damaged is kept beside it");

    fs::write(&files[1], &whole[1][..whole[1].len() - 9]).unwrap();
    let loaded = audit::load(&folder, &all).unwrap();
    assert_eq!((loaded.skipped, &loaded.findings[0].file), (1, &files[1]));
    mend().await;
    fs::remove_file(&files[1]).unwrap();
    mend().await;
    let (read, wrong) = audit::events(&folder).unwrap();
    assert!(wrong.is_none());
    assert_eq!(read, home.events().await);
}

// R21
#[tokio::test]
async fn the_log_is_read_by_level_name_time_and_number() {
    let home = Home::new().await;
    let (task, folder, _) = archived(&home).await;
    for payload in [
        TaskEvent::CollectFailed { reason: "no engine".to_owned() },
        TaskEvent::Loosened { what: Vec::new() },
    ] {
        home.registry.append(&task.id, &[payload.into()]).await.unwrap();
    }
    let events = home.events().await;
    let trail = small_trail(&home);
    trail.apply(&events).await.unwrap();
    let read = |filter: AuditFilter| {
        let loaded = audit::load(&folder, &filter).unwrap();
        assert_eq!((loaded.skipped, loaded.findings.len()), (0, 0));
        loaded.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    let expected = |wanted: &dyn Fn(&Event) -> bool| {
        events.iter().filter(|event| wanted(event)).map(|event| event.seq).collect::<Vec<_>>()
    };
    let all = AuditFilter::default();
    assert_eq!(read(all.clone()), expected(&|_| true));
    for level in Level::ALL {
        let filter = AuditFilter { level: Some(level), ..all.clone() };
        assert_eq!(read(filter), expected(&|event| event.payload.level() >= level), "{level}");
    }
    let names = vec!["task:attached".parse().unwrap(), "*:collectFailed".parse().unwrap()];
    let named =
        |event: &Event| ["task:attached", "task:collectFailed"].contains(&event.payload.name());
    assert_eq!(read(AuditFilter { events: names.clone(), ..all.clone() }), expected(&named));
    let (from, to) = (events[2].at, events[6].at);
    let filter = AuditFilter { from: Some(from), to: Some(to), ..all.clone() };
    assert_eq!(read(filter), expected(&|event| (from..to).contains(&event.at)));
    for limit in [0, 1, 2, 5, events.len(), events.len() + 1] {
        for (filter, matching) in [
            (all.clone(), expected(&|_| true)),
            (AuditFilter { events: names.clone(), ..all.clone() }, expected(&named)),
        ] {
            let filter = AuditFilter { limit: Some(limit), ..filter };
            assert_eq!(read(filter), matching[matching.len().saturating_sub(limit)..]);
        }
    }
    let entry = audit::load(&folder, &all).unwrap().entries.swap_remove(0);
    assert_eq!(
        (entry.name.as_str(), entry.task_seq, entry.level),
        ("task:created", 1, Some(Level::Info))
    );
    assert!(entry.event.get().contains("\"task:created\""));
    // Where nothing was written yet, there is nothing to read.
    let nothing = audit::load(&home.folders.of(&home.task("quiet").await.id), &all).unwrap();
    assert!(nothing.entries.is_empty() && nothing.findings.is_empty());
}

/// Something done to the files behind Armor's back.
type Tampering<'a> = Box<dyn Fn() + 'a>;

// R21
#[tokio::test]
async fn tampering_with_archives_is_found_and_named() {
    let home = Home::new().await;
    let (_, folder, _) = archived(&home).await;
    let whole: Vec<_> =
        files(&folder).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    let path = |number: usize| whole[number].1.clone();
    let active = folder.audit_file();
    let cases: Vec<(&str, Tampering<'_>, PathBuf, &str)> = vec![
        (
            "first removed",
            Box::new(|| fs::remove_file(path(0)).unwrap()),
            path(1),
            "line 1: events 1 to",
        ),
        (
            "one removed",
            Box::new(|| fs::remove_file(path(1)).unwrap()),
            if whole.len() > 3 { path(2) } else { active.clone() },
            "line 1: events",
        ),
        (
            "swapped",
            Box::new(|| {
                fs::write(path(0), &whole[1].0).unwrap();
                fs::write(path(1), &whole[0].0).unwrap();
            }),
            path(0),
            "line 1: events 1 to",
        ),
        (
            "given twice",
            Box::new(|| fs::write(path(1), &whole[0].0).unwrap()),
            path(1),
            "line 1: it does not follow",
        ),
        (
            "a line changed",
            Box::new(|| {
                let changed =
                    String::from_utf8(text(&path(1))).unwrap().replacen("agent-", "agent+", 1);
                write(&path(1), changed.as_bytes());
            }),
            path(1),
            "line ",
        ),
        (
            "the last line removed",
            Box::new(|| {
                let mut cut = text(&path(0));
                cut.pop();
                cut.truncate(cut.iter().rposition(|byte| *byte == b'\n').unwrap() + 1);
                write(&path(0), &cut);
            }),
            path(0),
            "its name says otherwise",
        ),
        ("emptied", Box::new(|| write(&path(0), b"")), path(0), "its name says otherwise"),
        (
            "damaged",
            Box::new(|| fs::write(path(0), &whole[0].0[..20]).unwrap()),
            path(0),
            "line 1: ",
        ),
        ("no archive", Box::new(|| fs::write(path(0), "no archive").unwrap()), path(0), "line 1: "),
        (
            "renamed",
            Box::new(|| fs::rename(path(0), folder.logs().join("audit.1-3.jsonl.zst")).unwrap()),
            path(1),
            "line 1: events 1 to",
        ),
        (
            "the active file is like the newest archive at first",
            Box::new(|| {
                let newest = text(&path(whole.len() - 2));
                let first = newest.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                fs::write(&active, &newest[..first]).unwrap();
            }),
            active.clone(),
            "does not end like it",
        ),
    ];
    for (what, tamper, file, said) in cases {
        for path in files(&folder) {
            fs::remove_file(path).unwrap();
        }
        for (bytes, path) in &whole {
            fs::write(path, bytes).unwrap();
        }
        audit::verify(&folder).unwrap();
        tamper();
        let error = audit::verify(&folder).unwrap_err();
        let StorageError::Damaged { path, reason } = &error else { panic!("{what}: {error}") };
        assert_eq!(path, &file, "{what}: {reason}");
        assert!(reason.contains(said), "{what}: {reason}");
    }
}

// R14, R32: what a restored table lacks is kept, archives too, and what it has stays.
#[tokio::test]
async fn archives_that_a_restored_table_lacks_are_set_aside() {
    let home = Home::new().await;
    let task = busy_task(&home).await;
    let folder = home.folders.of(&task.id);
    let other = Home::new().await;
    other.registry.create(&task).await.unwrap();
    let reasons = (0..9).map(|n| TaskEvent::CollectFailed { reason: format!("{n}") }.into());
    other.registry.append(&task.id, &reasons.collect::<Vec<_>>()).await.unwrap();
    let others = AuditTrail::new(home.folders.clone(), other.registry.clone()).archiving_at(1000);
    for event in other.events().await {
        others.apply(std::slice::from_ref(&event)).await.unwrap();
    }
    let lost: Vec<u8> = files(&folder).iter().flat_map(|file| text(file)).collect();
    let count = files(&folder).len();
    assert!(count > 2);

    let restored = SystemEvent::BackupRestored { path: "a".into(), replaced: None };
    home.registry.announce(restored).await.unwrap();
    let events = home.events().await;
    let event = events.last().unwrap();
    for _ in 0..2 {
        small_trail(&home).apply(std::slice::from_ref(event)).await.unwrap();
        let table = home.registry.events(&task.id, EventQuery::default()).await.unwrap();
        assert_eq!(ids_in(&folder), ids(&table));
        let stem = format!("audit-before-{}.", event.seq);
        let kept: Vec<_> =
            files(&folder).into_iter().filter(|path| name(path).starts_with(&stem)).collect();
        assert_eq!(kept.len(), count);
        assert_eq!(kept.iter().flat_map(|file| text(file)).collect::<Vec<_>>(), lost);
    }
    // And when it is the table that has gone on, nothing is set aside.
    let files_before = files(&folder);
    let again = SystemEvent::BackupRestored { path: "b".into(), replaced: None };
    home.registry.announce(again).await.unwrap();
    let events = home.events().await;
    small_trail(&home).apply(&events[events.len() - 1..]).await.unwrap();
    assert_eq!(files(&folder), files_before);
}
