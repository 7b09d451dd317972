//! The end of a command: noted, and told in words.

use std::time::Duration;

use armor_core::error::{Code, Report};
use armor_core::execution::{CommandLine, Execution, ExecutionEnd, ExecutionStatus};
use armor_core::sandbox::{CommandEnd, CommandExit, StreamKind, paths};
use armor_persistence::output::{excerpt, on_disk, stream_file};

use crate::{ExecutionReport, Lifecycle, LifecycleError};

impl Lifecycle {
    /// Notes the end of an execution; without one, that nobody knows how it ended. None when that
    /// was noted before.
    pub(crate) async fn note_end(
        &self,
        execution: &Execution,
        end: Option<&CommandEnd>,
    ) -> Result<Option<Execution>, LifecycleError> {
        let (status, exit_code) =
            end.map_or((ExecutionStatus::Interrupted, None), |end| status(end.exit));
        let folder = self.folder(&execution.task).execution(&execution.id);
        let written = end.map_or_else(|| on_disk(&folder), |end| end.written);
        let end = ExecutionEnd {
            status,
            exit_code,
            // Not when somebody came to look.
            at: end.and_then(|end| end.at).unwrap_or_else(|| self.now()),
            usage: end.and_then(|end| end.usage),
            stdout_bytes: written.stdout,
            stderr_bytes: written.stderr,
        };
        let noted = self.parts.registry.end_execution(execution, &end).await?;
        Ok(noted.then(|| Execution { end: Some(end), ..execution.clone() }))
    }

    /// What a caller gets of an execution that has ended.
    pub(crate) fn report(
        &self,
        execution: Execution,
        problem: Option<Report>,
    ) -> Result<ExecutionReport, LifecycleError> {
        let folder = self.folder(&execution.task).execution(&execution.id);
        let limit = self.settings.execution.reply_bytes();
        let inside = format!("{}/{}", paths::EXECUTIONS, execution.id);
        let cut = |stream, name| {
            let place = format!("{inside}/{name} in the sandbox");
            excerpt(&stream_file(&folder, stream), limit, &place)
        };
        let stdout = cut(StreamKind::Stdout, "stdout")?;
        let stderr = cut(StreamKind::Stderr, "stderr")?;
        Ok(ExecutionReport { execution, stdout, stderr, problem })
    }
}

/// The status, and the exit code as shells give it.
const fn status(exit: CommandExit) -> (ExecutionStatus, Option<i32>) {
    match exit {
        CommandExit::Code(code) => (ExecutionStatus::Exited, Some(code)),
        CommandExit::NotFound => (ExecutionStatus::NotStarted, Some(127)),
        CommandExit::NotExecutable => (ExecutionStatus::NotStarted, Some(126)),
        CommandExit::TimedOut => (ExecutionStatus::TimedOut, Some(124)),
        CommandExit::Killed => (ExecutionStatus::Killed, Some(137)),
        CommandExit::Lost | CommandExit::Unkept | CommandExit::SandboxLost => {
            (ExecutionStatus::Interrupted, None)
        }
    }
}

/// What kept a command from running to its own end, with what to do about it.
pub(crate) fn problem(command: &CommandLine, end: &CommandEnd, limit: Duration) -> Option<Report> {
    let report = |code, message: String, next_step: &str| {
        Some(Report { code, message, next_step: Some(next_step.to_owned()) })
    };
    let program = match command {
        CommandLine::Argv(argv) => argv.first().map_or("", String::as_str),
        CommandLine::Shell(_) => "/bin/sh",
    };
    let out_of_memory = end.usage.is_some_and(|usage| usage.out_of_memory);
    match end.exit {
        exit if exit != CommandExit::Code(0) && out_of_memory => report(
            Code::ExecutionOutOfMemory,
            "the sandbox ran out of memory, and a process was killed".to_owned(),
            "Let it need less at a time (fewer parallel jobs), or create the task with a higher memory limit.",
        ),
        CommandExit::Code(code) => shell_problem(command, code),
        CommandExit::NotFound => report(
            Code::ExecutionCommandNotFound,
            format!("`{}` does not exist in the sandbox", program.escape_debug()),
            "Check the spelling and whether the image has it; a string instead of an array is run by a shell.",
        ),
        CommandExit::NotExecutable => report(
            Code::ExecutionNotExecutable,
            format!("`{}` may not be executed", program.escape_debug()),
            "Make it executable (chmod +x), or run it by its interpreter.",
        ),
        CommandExit::TimedOut => report(
            Code::ExecutionTimedOut,
            format!(
                "the command ran longer than {} s and was killed with all its children",
                limit.as_secs_f64()
            ),
            "Give it a higher timeout_ms, or split it up.",
        ),
        CommandExit::Killed => Some(Report {
            code: Code::ExecutionInterrupted,
            message: "the command was cancelled and killed with all its children".to_owned(),
            next_step: None,
        }),
        CommandExit::Lost => report(
            Code::ExecutionInterrupted,
            "another command of the sandbox killed what watched over this one".to_owned(),
            "Run the command again, and leave alone processes that a command did not start itself.",
        ),
        CommandExit::Unkept => report(
            Code::StorageFailed,
            "the command's output could not be written, so it was killed".to_owned(),
            "Check that the disk has room (`df -h`, `armor doctor`), and run the command again.",
        ),
        CommandExit::SandboxLost => report(
            Code::ExecutionInterrupted,
            "the sandbox went away while the command ran".to_owned(),
            "Run the command again: the sandbox is made anew, and the files are kept.",
        ),
    }
}

/// A shell says by these codes that it could not start a command.
fn shell_problem(command: &CommandLine, code: i32) -> Option<Report> {
    let code = match (command, code) {
        (CommandLine::Shell(_), 127) => Code::ExecutionCommandNotFound,
        (CommandLine::Shell(_), 126) => Code::ExecutionNotExecutable,
        _ => return None,
    };
    Some(Report {
        code,
        message: "the shell could not start a command; standard error names it".to_owned(),
        next_step: Some("Check the command's spelling and whether the image has it.".to_owned()),
    })
}
