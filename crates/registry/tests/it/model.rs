//! The registry against a simple model in memory: random operations, the same answers.

use std::collections::BTreeMap;

use armor_core::event::{EventLog, TaskEvent};
use armor_core::id::TaskId;
use armor_core::task::{Change, Metadata, Task};
use armor_core::time::Clock;
use armor_registry::{EventQuery, Order, Registry, RegistryError, TaskQuery};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Home, agent};

#[derive(Debug, Clone)]
enum Step {
    /// So many new tasks at once; with `again`, one of them is there already.
    Insert {
        count: usize,
        again: bool,
    },
    /// A change of these tasks at once, `stale` versions behind.
    Update {
        which: Vec<usize>,
        stale: u64,
        named: u8,
    },
    Delete {
        which: usize,
        stale: u64,
    },
    Append {
        which: usize,
        count: usize,
    },
    Find {
        named: u8,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let stale = prop_oneof![4 => Just(0_u64), 1 => 1..3_u64];
    prop_oneof![
        3 => (1_usize..6, prop::bool::weighted(0.2))
            .prop_map(|(count, again)| Step::Insert { count, again }),
        4 => (prop::collection::vec(0_usize..12, 1..5), stale.clone(), 0_u8..4)
            .prop_map(|(which, stale, named)| Step::Update { which, stale, named }),
        1 => (0_usize..12, stale).prop_map(|(which, stale)| Step::Delete { which, stale }),
        2 => (0_usize..12, 1_usize..5).prop_map(|(which, count)| Step::Append { which, count }),
        2 => (0_u8..4).prop_map(|named| Step::Find { named }),
        1 => Just(Step::Reopen),
    ]
}

/// What the registry is to hold.
#[derive(Debug, Default)]
struct Model {
    /// In the order of creation.
    tasks: Vec<Task>,
    /// How many events each task that ever was has.
    events: BTreeMap<TaskId, u64>,
}

impl Model {
    fn change(&self, which: usize, stale: u64, named: u8, home: &Home) -> Option<Change> {
        let task = self.tasks.get(which)?;
        let mut change = task.attach(agent("a"), home.clock.now()).unwrap();
        change.after.name = format!("name{named}").parse().unwrap();
        change.after.metadata = Metadata::try_from(json!({ "version": task.version })).unwrap();
        change.expected = task.version.saturating_sub(stale);
        Some(change)
    }

    fn note(&mut self, task: &TaskId, events: u64) {
        *self.events.entry(task.clone()).or_default() += events;
    }
}

async fn play(steps: Vec<Step>) {
    let home = Home::new();
    let mut registry = home.open().await;
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Insert { count, again } => {
                let mut new: Vec<_> = (0..count).map(|_| home.task("new")).collect();
                let twin = model.tasks.first().filter(|_| again);
                new.extend(twin.cloned());
                let is_new = twin.is_none();
                assert_eq!(registry.bulk_insert(&new).await.is_ok(), is_new);
                if is_new {
                    for task in &new {
                        model.note(&task.id, 1);
                    }
                    model.tasks.extend(new);
                }
            }
            Step::Update { mut which, stale, named } => {
                which.sort_unstable();
                which.dedup();
                let changes: Vec<_> = which
                    .iter()
                    .filter_map(|which| model.change(*which, stale, named, &home))
                    .collect();
                match registry.bulk_update(&changes).await {
                    Ok(()) => {
                        assert!(stale == 0 || changes.is_empty());
                        for change in changes {
                            model.note(&change.after.id, change.events.len() as u64);
                            let task = model.tasks.iter_mut().find(|t| t.id == change.after.id);
                            *task.unwrap() = change.after;
                        }
                    }
                    Err(RegistryError::Conflict { expected, actual, .. }) => {
                        assert!(stale > 0 && expected < actual);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Delete { which, stale } => {
                let Some(task) = model.tasks.get(which).cloned() else { continue };
                let event = TaskEvent::Deleted { name: task.name.to_string() };
                let version = task.version.saturating_sub(stale);
                let deleted = registry.delete(&task.id, version, event.into()).await;
                assert_eq!(deleted.is_ok(), stale == 0, "{deleted:?}");
                if deleted.is_ok() {
                    model.note(&task.id, 1);
                    model.tasks.remove(which);
                }
            }
            Step::Append { which, count } => {
                let Some(task) = model.tasks.get(which).cloned() else { continue };
                let fact = TaskEvent::CollectFailed { reason: "x".to_owned() };
                registry.append(&task.id, &vec![fact.into(); count]).await.unwrap();
                model.note(&task.id, count as u64);
            }
            Step::Find { named } => {
                let name = format!("name{named}");
                let found = registry.find(&name, 100).await.unwrap();
                let wanted = model.tasks.iter().rev().filter(|task| task.name.as_str() == name);
                assert!(found.iter().eq(wanted));
            }
            Step::Reopen => {
                registry.close().await;
                registry = home.open().await;
            }
        }
    }
    let all = TaskQuery { order: Order::OldestFirst, limit: 1000, ..TaskQuery::default() };
    assert_eq!(registry.list(&all).await.unwrap().items, model.tasks);
    assert_eq!(registry.statistics().await.unwrap().total, model.tasks.len() as u64);
    for (task, count) in &model.events {
        let events = registry.events(task, EventQuery::default()).await.unwrap();
        assert!(events.iter().map(armor_core::event::Event::task_seq).eq(1..=*count));
    }
    assert_eq!(registry.head().await.unwrap().0, model.events.values().sum::<u64>());
    assert_eq!(registry.check().await.unwrap(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_registry_answers_as_a_simple_model_does(steps in prop::collection::vec(step(), 1..40)) {
        tokio::runtime::Runtime::new().unwrap().block_on(play(steps));
    }
}
