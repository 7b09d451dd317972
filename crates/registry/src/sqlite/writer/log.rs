//! Appending to the event log, within a transaction.

use std::collections::HashMap;

use armor_core::event::{Event, PAYLOAD_VERSION, Seq, Subject};
use armor_core::id::{ExecutionId, IdSource, TaskId};
use armor_core::time::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::RegistryError;
use crate::sqlite::failure::{corrupt, failed};
use crate::sqlite::rows::count;
use crate::sqlite::writer::encoded::Fact;
use crate::sqlite::writer::values::{MOST_ROWS, Script, SetStatement, Ticket};

/// A fact, and the task that it is about.
pub(super) type FactOf<'a> = (Option<&'a TaskId>, &'a Fact);

/// On which condition facts are appended: that of the change which follows them. (How many rows the
/// statement before has changed is no help: FTS5 writes in between, and counts its own.)
#[derive(Debug, Clone, Copy)]
pub(super) enum When<'a> {
    /// On none.
    Always,
    /// If the task is at this version.
    TaskAt(&'a TaskId, u64),
    /// If the execution runs.
    Running(&'a ExecutionId),
}

macro_rules! insert_events {
    ($condition:literal) => {
        SetStatement {
            action: "append to the event log",
            head: "WITH new (id, task_id, place, at, name, payload_version, payload) AS (VALUES ",
            columns: 7,
            // A place is counted on from the last one that the log has of the task. SQLite reads
            // the whole set before it inserts, because the set reads the table that is written to.
            tail: concat!(
                ") INSERT INTO events (id, task_id, task_seq, at, name, payload_version, payload)
                   SELECT id, task_id,
                       place + coalesce(
                           (SELECT max(task_seq) FROM events WHERE task_id = new.task_id), 0),
                       at, name, payload_version, payload
                   FROM new WHERE id IS NOT NULL ",
                $condition
            ),
        }
    };
}

const APPEND: SetStatement = insert_events!("");
const APPEND_IF_TASK: SetStatement =
    insert_events!("AND EXISTS (SELECT 1 FROM tasks WHERE id = ? AND version = ?)");
const APPEND_IF_RUNNING: SetStatement =
    insert_events!("AND EXISTS (SELECT 1 FROM executions WHERE id = ? AND status = 'running')");

/// The places that the log gave to as many events as were appended: in one row, because each row
/// that comes back costs more than to look for all of them again. (A limit that is nothing but a
/// parameter makes SQLite prepare the statement again for every run.)
const PLACES: &str = "SELECT json_group_array(seq), json_group_array(task_seq)
     FROM (SELECT seq, task_seq FROM events ORDER BY seq DESC LIMIT ? + 0)";

const READ_BACK: &str = "read what was appended";

/// Events that are sent to the log, and where their places will stand.
pub(super) struct Appended {
    events: Vec<Event>,
    places: Option<Ticket>,
}

/// Adds the statements that append facts.
pub(super) async fn append(
    script: &mut Script<'_>,
    when: When<'_>,
    facts: &[FactOf<'_>],
    at: Timestamp,
    ids: &dyn IdSource,
) -> Result<Appended, RegistryError> {
    let statement = match when {
        When::Always => APPEND,
        When::TaskAt(..) => APPEND_IF_TASK,
        When::Running(_) => APPEND_IF_RUNNING,
    };
    let mut events = Vec::with_capacity(facts.len());
    for facts in facts.chunks(MOST_ROWS) {
        let mut of_task: HashMap<&TaskId, i64> = HashMap::new();
        let appended = script.add_set(&statement, facts, |row, &(task, fact)| {
            // The how-manieth of its task in this statement.
            let place = task.map(|task| {
                let place = of_task.entry(task).or_default();
                *place += 1;
                *place
            });
            let id = ids.event_id(at);
            row.bind(id.as_str())?;
            row.bind(task.map(TaskId::as_str))?;
            row.bind(place)?;
            row.bind(at.as_micros())?;
            row.bind(fact.payload.name())?;
            row.bind(PAYLOAD_VERSION)?;
            row.bind(fact.data.as_str())?;
            let subject = match task {
                Some(task) => Subject::Task { task: task.clone(), task_seq: 0 },
                None => Subject::System {},
            };
            let payload = fact.payload.clone();
            events.push(Event { seq: Seq::START, id, subject, at, payload });
            Ok(())
        });
        appended.await?;
        match when {
            When::Always => {}
            When::TaskAt(task, version) => {
                script.bind(task.as_str())?;
                script.bind(count(version))?;
            }
            When::Running(execution) => script.bind(execution.as_str())?,
        }
    }
    if events.is_empty() {
        return Ok(Appended { events, places: None });
    }
    let places = script.add(PLACES);
    script.bind(i64::try_from(events.len()).unwrap_or(i64::MAX))?;
    Ok(Appended { events, places: Some(places) })
}

impl Appended {
    /// The events with the places that the log gave them.
    pub(super) fn read(mut self, script: &Script<'_>) -> Result<Vec<Event>, RegistryError> {
        let Some(row) = self.places.and_then(|places| script.rows(places).first()) else {
            return Ok(self.events);
        };
        let seqs: Vec<u64> = numbers(row, 0)?;
        let task_seqs: Vec<Option<u64>> = numbers(row, 1)?;
        let mut places: Vec<_> = seqs.into_iter().zip(task_seqs).collect();
        if places.len() != self.events.len() {
            return Err(corrupt(READ_BACK, "another number of events than was appended"));
        }
        places.sort_unstable();
        for (event, (seq, place)) in self.events.iter_mut().zip(places) {
            event.seq = Seq(seq);
            if let (Subject::Task { task_seq, .. }, Some(place)) = (&mut event.subject, place) {
                *task_seq = place;
            }
        }
        Ok(self.events)
    }
}

fn numbers<T: DeserializeOwned>(row: &SqliteRow, column: usize) -> Result<Vec<T>, RegistryError> {
    let text: &str = row.try_get(column).map_err(failed(READ_BACK))?;
    serde_json::from_str(text).map_err(|error| corrupt(READ_BACK, error))
}
