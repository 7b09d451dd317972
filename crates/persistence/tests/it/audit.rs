//! Layer 2: the audit log.

use std::fs;

use armor_core::event::{Consumer, Event, SystemEvent};
use armor_core::id::AgentId;
use armor_core::time::{Clock, SystemClock};
use armor_persistence::{AuditTrail, audit};
use armor_registry::EventQuery;
use proptest::prelude::*;

use crate::support::Home;

async fn busy_task(home: &Home) -> armor_core::task::Task {
    let mut task = home.task("audited").await;
    for n in 0..3 {
        let agent = AgentId::parse(format!("agent-{n}")).unwrap();
        for change in [
            |task: &armor_core::task::Task, agent| task.attach(agent, SystemClock.now()).unwrap(),
            |task: &armor_core::task::Task, _| task.detach(None, SystemClock.now()).unwrap(),
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

fn ids_in(folder: &armor_persistence::TaskFolder) -> Vec<String> {
    let lines = audit::verify(folder).unwrap();
    let id = |line: &serde_json::value::RawValue| {
        let event: serde_json::Value = serde_json::from_str(line.get()).unwrap();
        event["id"].as_str().unwrap().to_owned()
    };
    lines.iter().map(|line| id(line)).collect()
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
