//! What the program says at its end, and how it ends.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program speaks")]

use std::io::Write;
use std::process::ExitCode;

use armor::commands::{ExitStatus, Outcome};
use armor::diagnostics::{Diagnostic, Report};
use serde_json::json;

use crate::exit_code;

/// An outcome: JSON or text on standard output.
pub(crate) fn outcome(outcome: &Outcome, as_json: bool) -> ExitCode {
    let text = match &outcome.json {
        Some(json) if as_json => format!("{json:#}"),
        None if as_json => String::new(),
        _ => outcome.text.clone(),
    };
    if !text.is_empty() {
        // A reader that went away, such as `head`, is no failure.
        let _written = writeln!(std::io::stdout(), "{text}");
    }
    exit_code(outcome.exit)
}

/// An error: what happened, its code, and what to do next, on standard error.
pub(crate) fn error(error: &impl Diagnostic, as_json: bool) -> ExitCode {
    let report = Report::of(error);
    if as_json {
        eprintln!("{:#}", json!({ "error": report }));
    } else {
        eprintln!("error: {report}");
        if let Some(next) = &report.next_step {
            eprintln!("  next: {next}");
        }
    }
    exit_code(ExitStatus::of(report.code))
}

/// A command line that could not be read; help and version are asked for in the same way.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let _printed = error.print();
    if error.use_stderr() { exit_code(ExitStatus::Usage) } else { ExitCode::SUCCESS }
}

/// The program could not even begin.
pub(crate) fn fatal(error: &std::io::Error) -> ExitCode {
    eprintln!("error: the program could not be started: {error}");
    exit_code(ExitStatus::Failure)
}
