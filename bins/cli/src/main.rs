//! `armor`, the program for people: parses the command line, opens the home, runs the command and
//! reports. What the commands do is in `armor-commands`.

mod console;
mod parser;
mod report;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use armor::commands::{Call, ClosedCall, CommandError, ExitStatus, Outcome, Run};
use armor::{Armor, Environment};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::console::Terminal;
use crate::parser::Parsed;

/// How long a command has to end by itself after Ctrl-C.
const GRACE: Duration = Duration::from_secs(3);
/// The exit code of what was ended by Ctrl-C, as of every program: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let parsed = match parser::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => return report::usage(&error),
    };
    let environment = Environment::of_process();
    log_to_stderr(&environment);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return report::fatal(&error),
    };
    let code = runtime.block_on(run(parsed, environment));
    // A thread may still wait in a file's lock or in a read; nothing depends on it any more.
    runtime.shutdown_background();
    code
}

async fn run(parsed: Parsed, environment: Environment) -> ExitCode {
    // By what runs now, whatever has become of its file.
    let mut builder = Armor::builder(environment).carrier("/proc/self/exe", &["network", "carry"]);
    for (key, value) in parsed.settings {
        builder = builder.set(key, value);
    }
    let (arguments, json) = (parsed.arguments, parsed.json);
    let console = Arc::new(Terminal::new(json));
    let cancelled = CancellationToken::new();
    match parsed.command.run {
        Run::Open(run) => {
            let armor = match builder.open().await {
                Ok(armor) => armor,
                Err(error) => return report::error(&error, json),
            };
            let context = armor.context().clone();
            let call = Call { context, arguments, console, cancelled: cancelled.clone() };
            if let Some(code) = to_its_end(run(call), &cancelled, json).await {
                armor.close().await;
                code
            } else {
                armor.leave().await;
                ExitCode::from(INTERRUPTED)
            }
        }
        Run::Closed(run) => {
            let home = match builder.closed() {
                Ok(home) => home,
                Err(error) => return report::error(&error, json),
            };
            let running = run(ClosedCall { home, arguments, console });
            to_its_end(running, &cancelled, json).await.unwrap_or(ExitCode::from(INTERRUPTED))
        }
    }
}

/// Runs a command and reports how it ended; none when it was interrupted.
async fn to_its_end(
    command: impl Future<Output = Result<Outcome, CommandError>> + Send + 'static,
    cancelled: &CancellationToken,
    json: bool,
) -> Option<ExitCode> {
    // A task of its own: it may block in a prompt, and Ctrl-C has to be heard all the same.
    let running = tokio::spawn(command);
    let outcome = tokio::select! {
        outcome = running => outcome,
        () = interrupted(cancelled) => return None,
    };
    Some(match &outcome {
        Ok(Ok(outcome)) => report::outcome(outcome, json),
        Ok(Err(error)) => report::error(error, json),
        // It panicked, and said so.
        Err(_) => ExitCode::FAILURE,
    })
}

/// Waits for Ctrl-C, or what else asks a program to end, and lets the command end by itself; returns
/// when it takes too long for that, or at a second such signal.
async fn interrupted(cancelled: &CancellationToken) {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    // Without signals there is nothing to wait for.
    let Ok(mut signals) = kinds.into_iter().map(signal).collect::<Result<Vec<_>, _>>() else {
        return std::future::pending().await;
    };
    let mut asked = async || {
        let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(waits).await;
    };
    asked().await;
    cancelled.cancel();
    tokio::select! {
        () = asked() => {}
        () = tokio::time::sleep(GRACE) => {}
    }
}

fn log_to_stderr(environment: &Environment) {
    let wanted = environment.get(Environment::LOG).unwrap_or("warn");
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse_lossy(wanted))
        .with_writer(std::io::stderr);
    // With colours, unless NO_COLOR is set, only where somebody sees them.
    if std::io::stderr().is_terminal() { log.init() } else { log.with_ansi(false).init() }
}

/// The exit code as the operating system takes it.
fn exit_code(status: ExitStatus) -> ExitCode {
    ExitCode::from(status.number())
}
