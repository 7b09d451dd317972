//! One group of deeds, as one transaction.
//!
//! First the rows, each kind as one set; then it is known which deeds were refused; then the facts
//! of those that were not, as one set. All of it is sent in one go where no deed can be refused. Of
//! a single deed the facts come first, on the same condition as the deed, and so all of it is sent
//! in one go, too.

use std::collections::{HashSet, VecDeque};

use armor_core::event::Event;
use armor_core::execution::{Execution, ExecutionEnd};
use armor_core::id::{ExecutionId, IdSource, TaskId};
use armor_core::time::Clock;
use sqlx::{Row, SqliteConnection};

use crate::RegistryError;
use crate::sqlite::failure::failed;
use crate::sqlite::writer::ask::{Answer, Ask, Changes, Deed, Statements, Value};
use crate::sqlite::writer::encoded::{Changed, TaskRow};
use crate::sqlite::writer::log::{FactOf, When, append};
use crate::sqlite::writer::statements::{
    BEGIN_EXECUTIONS, DELETE_TASKS, END_EXECUTIONS, INSERT_TASKS, UPDATE_TASKS, bind_begun,
    bind_changed, bind_deleted, bind_ended, bind_task,
};
use crate::sqlite::writer::values::{MOST_ROWS, Script, Ticket};

/// The most deeds of one group.
pub(super) const MOST: usize = 256;

/// How many deeds of different kinds are sent in one go. More of them would be put together in ever
/// new ways, and each way has to be prepared.
const FEW: usize = 3;

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
/// may still be open, and is to be rolled back.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    deeds: &[Deed],
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<Outcome, RegistryError> {
    let mut script = Script::new(connection);
    script.add("BEGIN IMMEDIATE");
    let sets = Sets::of(deeds);
    let mut facts = Vec::new();
    if let [deed] = deeds
        && let Some(when) = deed.condition()
    {
        deed.facts(&mut facts);
        let events = append(&mut script, when, &facts, clock.now(), ids).await?;
        let written = sets.write(&mut script).await?;
        script.add("COMMIT");
        script.send().await?;
        let done = written.read(&script)?;
        let result = judge(&mut script, deed, &done).await?;
        let events = if done.is_empty() { Vec::new() } else { events.read(&script)? };
        return Ok(Outcome { results: vec![result], events });
    }
    if deeds.len() > FEW && sets.kinds() > 1 {
        script.part_sets();
    }
    let written = sets.write(&mut script).await?;
    if written.can_be_refused() {
        script.send().await?;
    }
    let done = written.read(&script)?;
    let mut results = Vec::with_capacity(deeds.len());
    for deed in deeds {
        let result = judge(&mut script, deed, &done).await?;
        if matches!(result, Ok(Answer::Changed(true))) {
            deed.facts(&mut facts);
        }
        results.push(result);
    }
    let events = append(&mut script, When::Always, &facts, clock.now(), ids).await?;
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

/// Where these ids will stand.
struct Written(Vec<Ticket>);

impl Written {
    const fn can_be_refused(&self) -> bool {
        !self.0.is_empty()
    }

    fn read(&self, script: &Script<'_>) -> Result<Done, RegistryError> {
        let rows = self.0.iter().flat_map(|ticket| script.rows(*ticket));
        rows.map(|row| row.try_get(0).map_err(failed("read what was written"))).collect()
    }
}

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
                | Deed::Told { .. }
                | Deed::Other(_)
                | Deed::Close => {}
            }
        }
        sets
    }

    /// How many kinds there are of them.
    fn kinds(&self) -> usize {
        let empty = [
            self.tasks.is_empty(),
            self.changes.is_empty(),
            self.deleted.is_empty(),
            self.begun.is_empty(),
            self.ended.is_empty(),
        ];
        empty.iter().filter(|empty| !**empty).count()
    }

    /// Adds the statements that write them.
    async fn write(self, script: &mut Script<'_>) -> Result<Written, RegistryError> {
        let mut written = Vec::new();
        for tasks in self.tasks.chunks(MOST_ROWS) {
            script.add_set(&INSERT_TASKS, tasks, |row, task| bind_task(row, task)).await?;
        }
        for changes in self.changes.chunks(MOST_ROWS) {
            let set = script.add_set(&UPDATE_TASKS, changes, |row, task| bind_changed(row, task));
            written.push(set.await?);
        }
        for begun in self.begun.chunks(MOST_ROWS) {
            script.add_set(&BEGIN_EXECUTIONS, begun, |row, begun| bind_begun(row, begun)).await?;
        }
        for ended in self.ended.chunks(MOST_ROWS) {
            let set =
                script.add_set(&END_EXECUTIONS, ended, |row, (id, end)| bind_ended(row, id, end));
            written.push(set.await?);
        }
        for deleted in self.deleted.chunks(MOST_ROWS) {
            let set = script.add_set(&DELETE_TASKS, deleted, |row, (task, expected)| {
                bind_deleted(row, task, *expected)
            });
            written.push(set.await?);
        }
        Ok(Written(written))
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
        Deed::Told { statements, .. } => {
            let value = own(script, statements).await?;
            Ok(value.map(|value| Answer::Changed(value.is::<Changes>())))
        }
        Deed::Other(statements) => Ok(own(script, statements).await?.map(Answer::Value)),
        Deed::Close => Ok(Ok(Answer::Changed(false))),
    }
}

/// Carries out statements of one caller's own, whose failure undoes nothing of the others.
async fn own(
    script: &mut Script<'_>,
    statements: &Statements,
) -> Result<Result<Value, RegistryError>, RegistryError> {
    script.send().await?;
    let connection = script.connection();
    run(connection, "SAVEPOINT own").await?;
    match statements(connection).await {
        Ok(value) => {
            run(connection, "RELEASE own").await?;
            Ok(Ok(value))
        }
        // Where that is not possible, SQLite has undone the whole transaction by itself,
        // and the statements' own error says why.
        Err(error) => match run(connection, "ROLLBACK TO own; RELEASE own").await {
            Ok(()) => Ok(Err(error)),
            Err(_) => Err(error),
        },
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
    fn facts<'a>(&'a self, facts: &mut Vec<FactOf<'a>>) {
        match self {
            Self::Insert(new) => {
                for new in new {
                    facts.extend(new.facts.iter().map(|fact| (Some(&new.row.task.id), fact)));
                }
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
            Self::Told { task, facts: more, .. } => {
                facts.extend(more.iter().map(|fact| (task.as_ref(), fact)));
            }
            Self::Announce(fact) => facts.push((None, fact)),
            Self::Other(_) | Self::Close => {}
        }
    }
}
