//! `config show`

use armor_core::config::Key;
use futures_util::FutureExt;
use serde_json::json;

use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const SHOW: Command = Command {
    name: "config show",
    about: "Show every setting, its value, and where it came from",
    arguments: &[],
    run: Run::Open(|call| std::future::ready(show(&call)).boxed()),
};

fn show(call: &Call) -> Result<Outcome, CommandError> {
    let entries: Vec<_> = call.context.configuration.entries().cloned().collect();
    let rows = entries.iter().map(|entry| {
        let help = Key::find(entry.key).map_or("", |key| key.help);
        [entry.key.to_owned(), entry.value.to_string(), entry.origin.to_string(), help.to_owned()]
    });
    let table = render::table(["KEY", "VALUE", "FROM", "WHAT IT DOES"], rows);
    let home = call.context.home.display().to_string();
    let text = format!("home  {home}\n\n{table}");
    Outcome::well(&json!({ "home": home, "settings": entries }), text)
}
