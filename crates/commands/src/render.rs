//! Text for people: tables that fit the terminal, and pairs of name and value.

use std::fmt::Write as _;

use armor_core::execution::Execution;
use armor_core::task::Task;
use comfy_table::{ContentArrangement, Table, presets};

/// A table with a head; it takes the terminal's width if there is one.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    table.trim_fmt()
}

/// Names and values below each other, the values in one column.
pub(crate) fn pairs(pairs: &[(&str, Option<String>)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ok = writeln!(text, "{name:width$}  {}", printable(value));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// What a person sees of a task.
pub(crate) fn task(task: &Task) -> String {
    let repository = task.repository.as_ref();
    let folder = task.sandbox.folder.as_ref();
    let outcome = task.outcome.as_ref();
    let limits = task.sandbox.limits;
    pairs(&[
        ("task", Some(task.id.to_string())),
        ("name", Some(task.name.to_string())),
        ("status", Some(task.status.to_string())),
        ("owner", Some(task.owner.to_string())),
        ("agent", task.agent.as_ref().map(ToString::to_string)),
        ("repository", repository.map(|r| r.path.display().to_string())),
        ("folder", folder.map(|f| format!("{} ({})", f.path().display(), f.mode()))),
        ("branch", repository.map(|r| format!("{} at {}", r.branch, short(&r.head)))),
        ("work", repository.map(|r| r.work.to_string())),
        ("image", Some(task.sandbox.image.to_string())),
        ("network", Some(task.sandbox.network.to_string())),
        (
            "limits",
            Some(format!(
                "{} MiB memory, {} millicores, {} processes",
                limits.memory_mib, limits.cpu_millis, limits.pids
            )),
        ),
        ("message", outcome.and_then(|outcome| outcome.message.clone())),
        ("result", outcome.and_then(|o| o.result.as_ref()).map(ToString::to_string)),
        ("created", Some(task.created_at.to_string())),
        ("started", task.started_at.map(|at| at.to_string())),
        ("finished", task.finished_at.map(|at| at.to_string())),
    ])
}

/// The first characters of a commit's id, enough for people.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// The text without anything that a terminal would obey: what agents write is shown, not done.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{FFFD}' } else { c }).collect()
}

/// Executions, as a table.
pub(crate) fn executions(executions: &[Execution]) -> String {
    let rows = executions.iter().map(|execution| {
        let code = execution.end.as_ref().and_then(|end| end.exit_code);
        [
            execution.id.to_string(),
            execution.status().to_string(),
            code.map(|code| code.to_string()).unwrap_or_default(),
            execution.duration_ms().map(|ms| format!("{ms} ms")).unwrap_or_default(),
            execution.command.to_string().lines().next().unwrap_or_default().to_owned(),
        ]
    });
    table(["EXECUTION", "STATUS", "CODE", "TIME", "COMMAND"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        assert_eq!(printable("a\u{1b}[31mred\r\nb"), "a\u{FFFD}[31mred\u{FFFD}\nb");
    }
}
