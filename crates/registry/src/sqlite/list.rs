//! Pages of tasks, by filters and by words.
//!
//! Pages go by keys, not by offsets: a page is as fast far behind as at the beginning, and tasks
//! that are made meanwhile do not shift it.

use armor_core::task::Task;
use sqlx::{QueryBuilder, Sqlite};

use crate::sqlite::readers::Readers;
use crate::sqlite::rows::{self, TASK_COLUMNS};
use crate::{Cursor, Order, Page, RegistryError, TaskQuery};

/// The place of a task among all: when it was made, then its number.
const BY_TIME: &[&str] = &["created_at", "number"];
/// The place of a task among those found by words, which are found by number: the order in which
/// they were kept, and that of creation unless the clock went back.
const BY_NUMBER: &[&str] = &["task_words.rowid"];

pub(super) async fn list(
    readers: &Readers,
    query: &TaskQuery,
) -> Result<Page<Task>, RegistryError> {
    let list = query.digest();
    let mut found = readers.all("list the tasks", page(query, list)?.build()).await?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = match found.last() {
        Some(last) if more => Some(rows::cursor(last, list)?),
        _ => None,
    };
    let items = found.iter().map(rows::task).collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

fn page(query: &TaskQuery, list: u32) -> Result<QueryBuilder<Sqlite>, RegistryError> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT ");
    sql.push(TASK_COLUMNS).push(", number FROM ");
    match &query.text {
        // Crossed, so that SQLite keeps the order: the words are found newest first, as many as
        // the page needs.
        Some(text) => {
            sql.push("task_words CROSS JOIN tasks ON number = task_words.rowid");
            sql.push(" WHERE task_words MATCH ").push_bind(words(text)?);
        }
        None => {
            sql.push("tasks WHERE TRUE");
        }
    }
    filter(&mut sql, query);

    let place = if query.text.is_some() { BY_NUMBER } else { BY_TIME };
    let (behind, direction) = match query.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = &query.after {
        if after.list != list {
            return Err(RegistryError::Cursor { cursor: after.to_string() });
        }
        let Cursor { created_at, number, .. } = *after;
        sql.push(format!(" AND ({}) {behind} (", place.join(", ")));
        let mut keys = sql.separated(", ");
        for key in [created_at, number].iter().skip(2 - place.len()) {
            keys.push_bind(*key);
        }
        sql.push(")");
    }
    let order: Vec<_> = place.iter().map(|column| format!("{column} {direction}")).collect();
    // One more than asked for tells whether there is a next page.
    sql.push(format!(" ORDER BY {} LIMIT ", order.join(", ")));
    sql.push_bind(i64::from(query.limit) + 1);
    Ok(sql)
}

fn filter(sql: &mut QueryBuilder<Sqlite>, query: &TaskQuery) {
    if let Some(status) = query.status {
        sql.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(owner) = &query.owner {
        sql.push(" AND owner = ").push_bind(owner.clone());
    }
    if let Some(name) = &query.name {
        sql.push(" AND tasks.name = ").push_bind(name.to_string());
    }
    if let Some((key, value)) = &query.label {
        // Not `metadata ->> key`, because a key with a quote in it breaks the path.
        sql.push(" AND EXISTS (SELECT 1 FROM json_each(tasks.metadata) WHERE key = ");
        sql.push_bind(key.clone()).push(" AND value = ").push_bind(value.clone()).push(")");
    }
    if let Some(from) = query.created_from {
        sql.push(" AND created_at >= ").push_bind(from.as_micros());
    }
    if let Some(to) = query.created_to {
        sql.push(" AND created_at < ").push_bind(to.as_micros());
    }
}

/// What is searched for, in the language of FTS5: all the words, each as it stands, so that
/// nothing in it is taken for an operator. <https://sqlite.org/fts5.html#full_text_query_syntax>
fn words(text: &str) -> Result<String, RegistryError> {
    let words: Vec<String> = text
        .split_whitespace()
        .filter_map(|word| {
            let (word, any_end) = match word.strip_suffix('*') {
                Some(beginning) => (beginning, "*"),
                None => (word, ""),
            };
            let searchable = word.chars().any(char::is_alphanumeric);
            searchable.then(|| format!("\"{}\"{any_end}", word.replace(['"', '\0'], " ")))
        })
        .collect();
    if words.is_empty() {
        return Err(RegistryError::NoWords { text: text.to_owned() });
    }
    Ok(words.join(" AND "))
}
