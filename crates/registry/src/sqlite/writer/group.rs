//! One group of deeds, as one transaction.
//!
//! First the rows, each kind as one set; then it is known which deeds were refused; then the facts
//! of those that were not, as one set. A single deed that cannot be refused by a version goes to
//! the connection's thread and back once.

use std::collections::{HashMap, HashSet, VecDeque};

use armor_core::event::{Event, PAYLOAD_VERSION, Seq, Subject};
use armor_core::execution::{Execution, ExecutionEnd, ExecutionStatus};
use armor_core::id::{ExecutionId, IdSource, TaskId};
use armor_core::time::{Clock, Timestamp};
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::RegistryError;
use crate::sqlite::failure::{corrupt, failed};
use crate::sqlite::jobs;
use crate::sqlite::rows::count;
use crate::sqlite::writer::ask::{Answer, Ask, Deed};
use crate::sqlite::writer::encoded::{Changed, Fact, TaskRow, json};
use crate::sqlite::writer::values::{MOST_ROWS, Script, SetStatement, Ticket};

/// The most deeds of one group.
pub(super) const MOST: usize = 256;

const INSERT_TASKS: SetStatement = SetStatement {
    action: "keep the new task",
    head: "INSERT INTO tasks (id, name, request, status, owner, metadata, sandbox, repository,
               agent, outcome, retries, created_at, updated_at, started_at, finished_at, version)
           SELECT * FROM (VALUES ",
    columns: 16,
    tail: ") WHERE column1 IS NOT NULL",
};

const UPDATE_TASKS: SetStatement = SetStatement {
    action: "keep the task's change",
    head: "WITH new (id, name, request, status, owner, metadata, sandbox, repository, agent,
               outcome, retries, created_at, updated_at, started_at, finished_at, version,
               expected) AS (VALUES ",
    columns: 17,
    tail: ") UPDATE tasks SET
               name = new.name, request = new.request, status = new.status, owner = new.owner,
               metadata = new.metadata, sandbox = new.sandbox, repository = new.repository,
               agent = new.agent, outcome = new.outcome, retries = new.retries,
               updated_at = new.updated_at, started_at = new.started_at,
               finished_at = new.finished_at, version = new.version
           FROM new WHERE tasks.id = new.id AND tasks.version = new.expected
           RETURNING id",
};

const DELETE_TASKS: SetStatement = SetStatement {
    action: "delete the task",
    head: "WITH gone (id, expected) AS (VALUES ",
    columns: 2,
    tail: ") DELETE FROM tasks WHERE number IN
               (SELECT number FROM gone JOIN tasks USING (id) WHERE version = expected)
           RETURNING id",
};

const BEGIN_EXECUTIONS: SetStatement = SetStatement {
    action: "keep the new execution",
    head: "INSERT INTO executions (id, task_id, agent, command, cwd, instance, started_at, status)
           SELECT * FROM (VALUES ",
    columns: 8,
    tail: ") WHERE column1 IS NOT NULL",
};

const END_EXECUTIONS: SetStatement = SetStatement {
    action: "note the execution's end",
    head: "WITH new (id, status, exit_code, finished_at, stdout_bytes, stderr_bytes) AS (VALUES ",
    columns: 6,
    tail: ") UPDATE executions SET
               status = new.status, exit_code = new.exit_code, finished_at = new.finished_at,
               stdout_bytes = new.stdout_bytes, stderr_bytes = new.stderr_bytes
           FROM new WHERE executions.id = new.id AND executions.status = 'running'
           RETURNING id",
};

/// A place is counted on from the last one that the log has of the task. SQLite reads the whole
/// set before it inserts, because the set reads the table that is written to.
const INSERT_EVENTS: SetStatement = SetStatement {
    action: "append to the event log",
    head: "WITH new (id, task_id, place, at, name, payload_version, payload) AS (VALUES ",
    columns: 7,
    tail: ") INSERT INTO events (id, task_id, task_seq, at, name, payload_version, payload)
           SELECT id, task_id,
               place + coalesce(
                   (SELECT max(task_seq) FROM events WHERE task_id = new.task_id), 0),
               at, name, payload_version, payload
           FROM new WHERE id IS NOT NULL",
};

/// The places that the log gave to as many events as were appended: in one row, because each row
/// that comes back costs more than to look for all of them again.
const PLACES: &str =
    "SELECT json_group_array(seq ORDER BY seq), json_group_array(task_seq ORDER BY seq)
     FROM (SELECT seq, task_seq FROM events ORDER BY seq DESC LIMIT ?)";

/// What came of a group: a result for each deed, and the events that were appended.
pub(super) struct Outcome {
    pub(super) results: Vec<Result<Answer, RegistryError>>,
    pub(super) events: Vec<Event>,
}

/// Takes the next group from those that wait, in their order.
pub(super) fn take(waiting: &mut VecDeque<Ask>) -> Vec<Ask> {
    let mut group: Vec<Ask> = Vec::new();
    let mut claimed = HashSet::new();
    while let Some(next) = waiting.front()
        && group.len() < MOST
    {
        if next.deed.is_alone() && !group.is_empty() {
            break;
        }
        if let Some(task) = next.deed.claims()
            && !claimed.insert(task.clone())
        {
            break;
        }
        let alone = next.deed.is_alone();
        group.extend(waiting.pop_front());
        if alone {
            break;
        }
    }
    group
}

/// Carries out a group and commits it.
///
/// # Errors
/// When any statement fails, or a part of a deed of several parts is refused. Then the transaction
/// is still open, and is to be rolled back.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    deeds: &[Deed],
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<Outcome, RegistryError> {
    let mut script = Script::new(connection);
    script.add("BEGIN IMMEDIATE");
    let sets = Sets::of(deeds);
    let done = sets.write(&mut script).await?;
    let mut results = Vec::with_capacity(deeds.len());
    let mut facts: Vec<(Option<&TaskId>, &Fact)> = Vec::new();
    for deed in deeds {
        let result = judge(&mut script, deed, &done).await?;
        if matches!(result, Ok(Answer::Changed(true))) {
            deed.facts(&mut facts);
        }
        results.push(result);
    }
    let events = append(&mut script, facts, clock.now(), ids).await?;
    script.add("COMMIT");
    script.send().await?;
    Ok(Outcome { results, events: events.read(&script)? })
}

/// The rows of a group by kind.
#[derive(Default)]
struct Sets<'a> {
    tasks: Vec<&'a TaskRow>,
    changes: Vec<&'a Changed>,
    deleted: Vec<(&'a TaskId, u64)>,
    begun: Vec<&'a Execution>,
    ended: Vec<(&'a ExecutionId, &'a ExecutionEnd)>,
}

/// The ids of the rows that were there as expected: of changes, ends and deletions.
type Done = HashSet<String>;

impl<'a> Sets<'a> {
    fn of(deeds: &'a [Deed]) -> Self {
        let mut sets = Self::default();
        for deed in deeds {
            match deed {
                Deed::Insert(new) => sets.tasks.extend(new.iter().map(|new| &new.row)),
                Deed::Update(changes) => sets.changes.extend(changes),
                Deed::Delete { task, expected, .. } => sets.deleted.push((task, *expected)),
                Deed::Begin { execution, .. } => sets.begun.push(execution),
                Deed::End { execution, end, .. } => sets.ended.push((execution, end)),
                Deed::Append { .. }
                | Deed::Announce(_)
                | Deed::GiveUp { .. }
                | Deed::Other(_)
                | Deed::Close => {}
            }
        }
        sets
    }

    async fn write(self, script: &mut Script<'_>) -> Result<Done, RegistryError> {
        let mut returning = Vec::new();
        for tasks in self.tasks.chunks(MOST_ROWS) {
            script.add_set(&INSERT_TASKS, tasks, |row, task| bind_task(row, task)).await?;
        }
        for changes in self.changes.chunks(MOST_ROWS) {
            let updated = script.add_set(&UPDATE_TASKS, changes, |row, change| {
                bind_task(row, &change.row)?;
                row.bind(count(change.expected))
            });
            returning.push(updated.await?);
        }
        for begun in self.begun.chunks(MOST_ROWS) {
            script.add_set(&BEGIN_EXECUTIONS, begun, |row, begun| bind_begun(row, begun)).await?;
        }
        for ended in self.ended.chunks(MOST_ROWS) {
            let ended =
                script.add_set(&END_EXECUTIONS, ended, |row, (id, end)| bind_ended(row, id, end));
            returning.push(ended.await?);
        }
        for deleted in self.deleted.chunks(MOST_ROWS) {
            let deleted = script.add_set(&DELETE_TASKS, deleted, |row, (task, expected)| {
                row.bind(task.as_str())?;
                row.bind(count(*expected))
            });
            returning.push(deleted.await?);
        }
        if returning.is_empty() {
            return Ok(Done::new());
        }
        script.send().await?;
        let rows = returning.into_iter().flat_map(|ticket| script.rows(ticket));
        rows.map(|row| row.try_get(0).map_err(failed("read what was written"))).collect()
    }
}

/// Says what became of a deed, whose rows are written if they were there as expected.
async fn judge(
    script: &mut Script<'_>,
    deed: &Deed,
    done: &Done,
) -> Result<Result<Answer, RegistryError>, RegistryError> {
    const CHANGED: Result<Answer, RegistryError> = Ok(Answer::Changed(true));
    match deed {
        Deed::Insert(_) | Deed::Append { .. } | Deed::Announce(_) | Deed::Begin { .. } => {
            Ok(CHANGED)
        }
        Deed::Update(changes) => match changes.as_slice() {
            [change] => {
                let (task, expected) = (&change.row.task.id, change.expected);
                if done.contains(task.as_str()) {
                    return Ok(CHANGED);
                }
                Ok(Err(refusal(script, task, expected).await?))
            }
            changes => {
                for change in changes {
                    let task = &change.row.task.id;
                    if !done.contains(task.as_str()) {
                        return Err(refusal(script, task, change.expected).await?);
                    }
                }
                if done.len() < changes.len() {
                    return Err(RegistryError::TwiceTheSame);
                }
                Ok(CHANGED)
            }
        },
        Deed::Delete { task, expected, .. } => {
            if done.contains(task.as_str()) {
                return Ok(CHANGED);
            }
            Ok(Err(refusal(script, task, *expected).await?))
        }
        Deed::End { execution, .. } => Ok(Ok(Answer::Changed(done.contains(execution.as_str())))),
        Deed::GiveUp { held, error, .. } => {
            script.send().await?;
            let given_up = jobs::give_up(script.connection(), *held, error).await?;
            Ok(Ok(Answer::Changed(given_up)))
        }
        Deed::Other(statements) => {
            script.send().await?;
            let connection = script.connection();
            run(connection, "SAVEPOINT own").await?;
            match statements(connection).await {
                Ok(value) => {
                    run(connection, "RELEASE own").await?;
                    Ok(Ok(Answer::Value(value)))
                }
                // Where that is not possible, SQLite has undone the whole transaction by itself,
                // and the statements' own error says why.
                Err(error) => match run(connection, "ROLLBACK TO own; RELEASE own").await {
                    Ok(()) => Ok(Err(error)),
                    Err(_) => Err(error),
                },
            }
        }
        Deed::Close => Ok(Ok(Answer::Changed(false))),
    }
}

async fn run(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), RegistryError> {
    let done = sqlx::query(statement).execute(connection).await;
    done.map(drop).map_err(failed("write"))
}

/// Says why a task was not found at the version `expected`: it is gone, or at another one.
async fn refusal(
    script: &mut Script<'_>,
    task: &TaskId,
    expected: u64,
) -> Result<RegistryError, RegistryError> {
    script.send().await?;
    let actual: Option<i64> = sqlx::query_scalar("SELECT version FROM tasks WHERE id = ?")
        .bind(task.as_str())
        .fetch_optional(script.connection())
        .await
        .map_err(failed("read the task's version"))?;
    Ok(match actual {
        Some(actual) => {
            RegistryError::Conflict { task: task.clone(), expected, actual: actual.cast_unsigned() }
        }
        None => RegistryError::NotFound { reference: task.to_string() },
    })
}

impl Deed {
    /// Adds the facts that go into the log when it was done.
    fn facts<'a>(&'a self, facts: &mut Vec<(Option<&'a TaskId>, &'a Fact)>) {
        match self {
            Self::Insert(new) => {
                facts.extend(new.iter().map(|new| (Some(&new.row.task.id), &new.fact)));
            }
            Self::Update(changes) => {
                for change in changes {
                    facts.extend(change.facts.iter().map(|fact| (Some(&change.row.task.id), fact)));
                }
            }
            Self::Append { task, facts: more } => {
                facts.extend(more.iter().map(|fact| (Some(task), fact)));
            }
            Self::Delete { task, fact, .. } | Self::End { task, fact, .. } => {
                facts.push((Some(task), fact));
            }
            Self::Begin { execution, fact } => facts.push((Some(&execution.task), fact)),
            Self::Announce(fact) | Self::GiveUp { fact, .. } => {
                facts.push((None, fact));
            }
            Self::Other(_) | Self::Close => {}
        }
    }
}

/// Events that were sent to the log, and where their places will stand.
struct Appended {
    events: Vec<Event>,
    places: Option<Ticket>,
}

async fn append(
    script: &mut Script<'_>,
    facts: Vec<(Option<&TaskId>, &Fact)>,
    at: Timestamp,
    ids: &dyn IdSource,
) -> Result<Appended, RegistryError> {
    let mut events = Vec::with_capacity(facts.len());
    for facts in facts.chunks(MOST_ROWS) {
        let mut of_task: HashMap<&TaskId, i64> = HashMap::new();
        let appended = script.add_set(&INSERT_EVENTS, facts, |row, &(task, fact)| {
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
    fn read(mut self, script: &Script<'_>) -> Result<Vec<Event>, RegistryError> {
        let Some(row) = self.places.and_then(|places| script.rows(places).first()) else {
            return Ok(self.events);
        };
        let seqs: Vec<u64> = numbers(row, 0)?;
        let task_seqs: Vec<Option<u64>> = numbers(row, 1)?;
        for (event, (seq, place)) in self.events.iter_mut().zip(seqs.into_iter().zip(task_seqs)) {
            event.seq = Seq(seq);
            if let (Subject::Task { task_seq, .. }, Some(place)) = (&mut event.subject, place) {
                *task_seq = place;
            }
        }
        Ok(self.events)
    }
}

fn numbers<T: DeserializeOwned>(row: &SqliteRow, column: usize) -> Result<Vec<T>, RegistryError> {
    const ACTION: &str = "read what was appended";
    let text: &str = row.try_get(column).map_err(failed(ACTION))?;
    serde_json::from_str(text).map_err(|error| corrupt(ACTION, error))
}

fn bind_task(script: &mut Script<'_>, row: &TaskRow) -> Result<(), RegistryError> {
    let task = &row.task;
    script.bind(task.id.as_str())?;
    script.bind(task.name.as_str())?;
    script.bind(task.request.as_ref().map(armor_core::task::RequestText::as_str))?;
    script.bind(task.status.as_str())?;
    script.bind(task.owner.as_str())?;
    script.bind(row.metadata.as_str())?;
    script.bind(row.sandbox.as_str())?;
    script.bind(row.repository.as_deref())?;
    script.bind(task.agent.as_ref().map(armor_core::id::AgentId::as_str))?;
    script.bind(row.outcome.as_deref())?;
    script.bind(task.retries)?;
    script.bind(task.created_at.as_micros())?;
    script.bind(task.updated_at.as_micros())?;
    script.bind(task.started_at.map(Timestamp::as_micros))?;
    script.bind(task.finished_at.map(Timestamp::as_micros))?;
    script.bind(count(task.version))
}

fn bind_begun(script: &mut Script<'_>, execution: &Execution) -> Result<(), RegistryError> {
    script.bind(execution.id.as_str())?;
    script.bind(execution.task.as_str())?;
    script.bind(execution.agent.as_str())?;
    script.bind(json(&execution.command)?)?;
    script.bind(execution.cwd.as_str())?;
    script.bind(execution.instance.as_str())?;
    script.bind(execution.started_at.as_micros())?;
    script.bind(ExecutionStatus::Running.as_str())
}

fn bind_ended(
    script: &mut Script<'_>,
    execution: &ExecutionId,
    end: &ExecutionEnd,
) -> Result<(), RegistryError> {
    script.bind(execution.as_str())?;
    script.bind(end.status.as_str())?;
    script.bind(end.exit_code)?;
    script.bind(end.at.as_micros())?;
    script.bind(count(end.stdout_bytes))?;
    script.bind(count(end.stderr_bytes))
}
