//! `backup create` and `backup list`

use armor_registry::Backup;
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::{Call, Command, CommandError, Outcome, render};

pub(crate) const CREATE: Command = Command {
    name: "backup create",
    about: "Back the database up while it is in use, and remove the oldest backups beyond backup.keep",
    arguments: &[],
    run: |call| create(call).boxed(),
};

pub(crate) const LIST: Command = Command {
    name: "backup list",
    about: "List the backups of the database, the newest first",
    arguments: &[],
    run: |call| async move { list(&call) }.boxed(),
};

async fn create(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let backup = call.context.backups.create(lifecycle.registry(), lifecycle.now()).await?;
    let text = format!("Backed up to {} ({} bytes).", backup.path.display(), backup.bytes);
    Outcome::well(&view(&backup), text)
}

fn list(call: &Call) -> Result<Outcome, CommandError> {
    let backups = call.context.backups.list()?;
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

fn view(backup: &Backup) -> Value {
    json!({ "path": backup.path, "at": backup.at, "bytes": backup.bytes })
}
