//! `backup create`, `backup list` and `backup restore`

use std::path::Path;

use armor_registry::{Backup, Restored};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::arguments::{Argument, Kind};
use crate::{Call, ClosedCall, ClosedHome, Command, CommandError, Outcome, Run, render};

pub(crate) const CREATE: Command = Command {
    name: "backup create",
    about: "Back the database up while it is in use, and remove the oldest backups beyond backup.keep",
    arguments: &[],
    run: Run::Open(|call| create(call).boxed()),
};

pub(crate) const LIST: Command = Command {
    name: "backup list",
    about: "List the backups of the database, the newest first",
    arguments: &[],
    run: Run::Closed(|call| async move { list(&call) }.boxed()),
};

pub(crate) const RESTORE: Command = Command {
    name: "backup restore",
    about: "Put a backup in the place of the database, which nobody may have open; the old one is kept",
    arguments: &[
        Argument {
            name: "backup",
            kind: Kind::Required,
            help: "Which: a file, or the name of one that `backup list` shows",
        },
        Argument { name: "force", kind: Kind::Flag, help: "Do not ask" },
    ],
    run: Run::Closed(|call| restore(call).boxed()),
};

async fn create(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let backup = call.context.backups.create(lifecycle.registry(), lifecycle.now()).await?;
    let text = format!("Backed up to {} ({} bytes).", backup.path.display(), backup.bytes);
    Outcome::well(&view(&backup), text)
}

fn list(call: &ClosedCall) -> Result<Outcome, CommandError> {
    let backups = call.home.backups.list()?;
    let text = if backups.is_empty() {
        "No backups.".to_owned()
    } else {
        let rows = backups.iter().map(|backup| {
            let Backup { path, at, bytes } = backup;
            [at.to_string(), bytes.to_string(), path.display().to_string()]
        });
        render::table(["TAKEN", "BYTES", "FILE"], rows)
    };
    let views: Vec<_> = backups.iter().map(view).collect();
    Outcome::well(&json!({ "backups": views }), text)
}

async fn restore(call: ClosedCall) -> Result<Outcome, CommandError> {
    let ClosedHome { configuration, backups, clock, ids } = &call.home;
    let backup = Path::new(call.arguments.required("backup")?);
    let database = &configuration.settings().database.path;
    let question = format!("Replace {} by {}?", database.display(), backup.display());
    if !call.arguments.has("force") && !call.console.confirm(&question) {
        return Err(CommandError::NotAgreed { action: "replacing the database".to_owned() });
    }
    let Restored { replaced } =
        backups.restore(backup, database, clock.as_ref(), ids.as_ref()).await?;
    let kept = match &replaced {
        Some(path) => format!(" What was there is kept as {}.", path.display()),
        None => String::new(),
    };
    let text = format!("Restored {}.{kept}", backup.display());
    Outcome::well(&json!({ "restored": database, "replaced": replaced }), text)
}

fn view(backup: &Backup) -> Value {
    json!({ "path": backup.path, "at": backup.at, "bytes": backup.bytes })
}
