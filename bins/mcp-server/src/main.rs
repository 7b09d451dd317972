//! `armor-mcp`, the program for agents: parses its arguments, opens the home and serves, until the
//! client goes away or the process is told to end.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program speaks")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use armor::commands::Context;
use armor::diagnostics::{Diagnostic, Report};
use armor::{Armor, Environment};
use armor_mcp::{serve_http, serve_stdio};
use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// How long removing the sandboxes that were kept ready may take at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let matches = match parser().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _printed = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let environment = Environment::of_process();
    let wanted = environment.get(Environment::LOG).unwrap_or("info,rmcp=warn");
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse_lossy(wanted))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the program could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(&matches, environment));
    // A thread that waits for standard input cannot be interrupted, and must not hold us up.
    runtime.shutdown_background();
    code
}

fn parser() -> Command {
    Command::new("armor-mcp")
        .about("Serves Agentic Armor's tools to agents over the Model Context Protocol")
        .version(env!("CARGO_PKG_VERSION"))
        .arg(
            Arg::new("http")
                .long("http")
                .value_name("ADDR")
                .value_parser(clap::value_parser!(SocketAddr))
                .help("Serve Streamable HTTP at http://ADDR/mcp instead of standard input and output; a loopback address such as 127.0.0.1:7717"),
        )
        .arg(
            // For the process that this program starts when a task needs it.
            Arg::new("carry").long("carry").action(ArgAction::SetTrue).hide(true),
        )
        .arg(
            Arg::new("set")
                .long("set")
                .action(ArgAction::Append)
                .value_name("KEY=VALUE")
                .value_parser(key_and_value)
                .help("Set a configuration key"),
        )
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it takes KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

async fn run(matches: &ArgMatches, environment: Environment) -> ExitCode {
    // By what runs now, whatever has become of its file.
    let mut builder = Armor::builder(environment).carrier("/proc/self/exe", &["--carry"]);
    for (key, value) in matches.get_many::<(String, String)>("set").into_iter().flatten() {
        builder = builder.set(key, value);
    }
    let armor = match builder.open().await {
        Ok(armor) => armor,
        Err(error) => return failure(&error),
    };
    let stop = CancellationToken::new();
    if let Err(error) = cancel_at_signals(&stop) {
        eprintln!("error: signals cannot be listened for: {error}");
        return ExitCode::FAILURE;
    }
    let lifecycle = armor.lifecycle().clone();
    if matches.get_flag("carry") {
        let carried = lifecycle.carry(stop).await.map_err(|error| failure(&error));
        armor.close().await;
        return exit(carried.map(drop));
    }
    let watcher = lifecycle.clone();
    tokio::spawn(async move { watcher.keep_taking_up().await });
    tokio::spawn({
        let (lifecycle, stop) = (lifecycle.clone(), stop.clone());
        async move { lifecycle.keep_house(stop).await }
    });
    let pool = tokio::spawn({
        let (lifecycle, stop) = (lifecycle.clone(), stop.clone());
        async move { lifecycle.keep_pool(stop).await }
    });
    let context = armor.context().clone();
    tokio::spawn(async move { back_up_if_configured(&context).await });
    let code = if let Some(address) = matches.get_one::<SocketAddr>("http") {
        let say = |url: &str| println!("{url}");
        let served = serve_http(lifecycle, *address, stop.clone(), say).await;
        exit(served.map_err(|error| failure(&error)))
    } else {
        exit(serve_stdio(lifecycle, stop.clone()).await.map_err(|error| failure(&error)))
    };
    stop.cancel();
    if tokio::time::timeout(DRAIN_LIMIT, pool).await.is_err() {
        tracing::warn!("sandboxes of the pool stay until it is filled again");
    }
    armor.close().await;
    code
}

/// A backup that fails keeps nobody from working.
async fn back_up_if_configured(context: &Context) {
    if !context.configuration.settings().backup.on_start {
        return;
    }
    let lifecycle = &context.lifecycle;
    match context.backups.create(lifecycle.registry(), lifecycle.now()).await {
        Ok(backup) => tracing::info!(path = %backup.path.display(), "backed up the database"),
        Err(error) => tracing::error!(error = %Report::of(&error), "could not back up"),
    }
}

fn exit(served: Result<(), ExitCode>) -> ExitCode {
    served.err().unwrap_or(ExitCode::SUCCESS)
}

fn cancel_at_signals(stop: &CancellationToken) -> std::io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind)?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signals.recv().await;
            stop.cancel();
        });
    }
    Ok(())
}

fn failure(error: &impl Diagnostic) -> ExitCode {
    let report = Report::of(error);
    eprintln!("error: {report}");
    if let Some(next) = &report.next_step {
        eprintln!("  next: {next}");
    }
    ExitCode::from(armor::commands::ExitStatus::of(report.code).number())
}
