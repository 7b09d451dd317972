//! `find-task`

use armor_registry::TaskQuery;
use futures_util::FutureExt;

use crate::arguments::{Argument, Kind};
use crate::task::list::{PAGE, page, show};
use crate::{Call, Command, CommandError, Outcome, Run};

pub(crate) const COMMAND: Command = Command {
    name: "find-task",
    about: "Find tasks by words of their name, request or metadata, the newest first",
    arguments: &[
        Argument {
            name: "words",
            kind: Kind::Required,
            help: "What all of them have to be found; pars* stands for all that begin like it",
        },
        PAGE[0],
        PAGE[1],
        PAGE[2],
        PAGE[3],
        PAGE[4],
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let text = Some(call.arguments.required("words")?.to_owned());
    let query = TaskQuery { text, ..page(&call.arguments)? };
    show(&call, &query).await
}
