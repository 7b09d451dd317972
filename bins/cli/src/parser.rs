//! The command line, made from the list of commands.

use std::ffi::OsString;

use armor::commands::{Argument, Arguments, COMMANDS, Command as Definition, GROUPS, Kind};
use clap::{Arg, ArgAction, ArgMatches, Command};

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) command: &'static Definition,
    pub(crate) arguments: Arguments,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  it went well
  1  it failed
  2  the command line or a setting is wrong
  3  what was named does not exist, or is not the only one of that name
  4  the task's state does not allow it
  5  something outside is missing: engine, git, disk space
  130  it was interrupted with Ctrl-C
  `exec` ends with the exit code of its command: 124 after a time-out, 126 if it may not be
  executed, 127 if it does not exist";

/// Reads the command line.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, clap::Error> {
    let matches = parser().try_get_matches_from(words)?;
    let (mut name, mut inner) = subcommand(&matches)?;
    if let Some((second, innermost)) = inner.subcommand() {
        name = format!("{name} {second}");
        inner = innermost;
    }
    let command = COMMANDS
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| parser().error(clap::error::ErrorKind::InvalidSubcommand, &name))?;
    let mut settings = Vec::new();
    for setting in inner.get_many::<String>("set").into_iter().flatten() {
        let (key, value) = setting.split_once('=').ok_or_else(|| {
            parser().error(clap::error::ErrorKind::ValueValidation, "--set takes KEY=VALUE")
        })?;
        settings.push((key.to_owned(), value.to_owned()));
    }
    Ok(Parsed { command, arguments: given(command, inner), settings, json: inner.get_flag("json") })
}

fn subcommand(matches: &ArgMatches) -> Result<(String, &ArgMatches), clap::Error> {
    matches
        .subcommand()
        .map(|(name, inner)| (name.to_owned(), inner))
        .ok_or_else(|| parser().error(clap::error::ErrorKind::MissingSubcommand, "no command"))
}

fn given(command: &Definition, matches: &ArgMatches) -> Arguments {
    let mut arguments = Arguments::default();
    for argument in command.arguments {
        if argument.kind == Kind::Flag {
            if matches.get_flag(argument.name) {
                arguments.add(argument.name, String::new());
            }
            continue;
        }
        for value in matches.get_many::<String>(argument.name).into_iter().flatten() {
            arguments.add(argument.name, value.clone());
        }
    }
    arguments
}

fn parser() -> Command {
    let mut top = Command::new("armor")
        .about("Gives every AI coding task its own sandbox and its own memory")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(EXIT_CODES)
        .arg(
            Arg::new("json")
                .long("json")
                .global(true)
                .action(ArgAction::SetTrue)
                .help("Write JSON, for programs"),
        )
        .arg(
            Arg::new("set")
                .long("set")
                .global(true)
                .action(ArgAction::Append)
                .value_name("KEY=VALUE")
                .help("Set a configuration key for this call"),
        );
    let mut groups: Vec<Command> = Vec::new();
    for definition in COMMANDS {
        match definition.name.split_once(' ') {
            None => top = top.subcommand(command(definition, definition.name)),
            Some((group, name)) => {
                let inner = command(definition, name);
                match groups.iter_mut().find(|known| known.get_name() == group) {
                    Some(known) => *known = known.clone().subcommand(inner),
                    None => groups.push(
                        Command::new(group)
                            .about(about(group))
                            .subcommand_required(true)
                            .arg_required_else_help(true)
                            .subcommand(inner),
                    ),
                }
            }
        }
    }
    top.subcommands(groups)
}

fn about(group: &str) -> &'static str {
    GROUPS.iter().find(|(name, _)| *name == group).map_or("", |(_, about)| about)
}

fn command(definition: &Definition, name: &'static str) -> Command {
    Command::new(name).about(definition.about).args(definition.arguments.iter().map(argument))
}

fn argument(definition: &Argument) -> Arg {
    let arg = Arg::new(definition.name).help(definition.help);
    match definition.kind {
        Kind::Required => arg.required(true),
        Kind::Optional => arg,
        Kind::Option(value) => arg.long(definition.name).value_name(value),
        Kind::Many(value) => arg.long(definition.name).value_name(value).action(ArgAction::Append),
        Kind::Flag => arg.long(definition.name).action(ArgAction::SetTrue),
        Kind::Several => arg.required(true).num_args(1..).value_name("RULE"),
        Kind::Rest => rest(arg).required(true),
        Kind::RestIfAny => rest(arg),
    }
}

fn rest(arg: Arg) -> Arg {
    arg.num_args(1..).trailing_var_arg(true).allow_hyphen_values(true).value_name("COMMAND")
}
