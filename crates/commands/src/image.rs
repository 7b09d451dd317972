//! `image build` and `image list`

use armor_core::sandbox::ImageName;
use futures_util::FutureExt;
use serde_json::json;

use crate::arguments::{Argument, Kind};
use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const BUILD: Command = Command {
    name: "image build",
    about: "Build Armor's own images: base, developer, or all",
    arguments: &[
        Argument {
            name: "image",
            kind: Kind::Optional,
            help: "Which: base, developer, all [default: base]",
        },
        Argument {
            name: "if-missing",
            kind: Kind::Flag,
            help: "Leave alone what the engine has already",
        },
    ],
    run: Run::Open(|call| build(call).boxed()),
};

pub(crate) const LIST: Command = Command {
    name: "image list",
    about: "List Armor's own images, and which of them the engine has",
    arguments: &[],
    run: Run::Open(|call| list(call).boxed()),
};

async fn build(call: Call) -> Result<Outcome, CommandError> {
    let wanted = match call.arguments.get("image").unwrap_or("base") {
        "base" => vec![ImageName::base()],
        "developer" => vec![ImageName::developer()],
        "all" => vec![ImageName::base(), ImageName::developer()],
        name => vec![name.parse()?],
    };
    let images = call.context.lifecycle.images();
    for image in &wanted {
        if call.arguments.has("if-missing") {
            images.ensure(image, call.console.as_ref()).await?;
        } else {
            images.build(image, call.console.as_ref()).await?;
        }
    }
    let names: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    let text = format!("The engine has {}.", names.join(", "));
    Outcome::well(&json!({ "images": names }), text)
}

async fn list(call: Call) -> Result<Outcome, CommandError> {
    let known = call.context.lifecycle.images().known().await?;
    let rows = known.iter().map(|(image, is_there)| {
        [image.to_string(), if *is_there { "yes" } else { "not built" }.to_owned()]
    });
    let text = render::table(["IMAGE", "ON THE ENGINE"], rows);
    let json: Vec<_> = known
        .iter()
        .map(|(image, is_there)| json!({ "image": image, "built": is_there }))
        .collect();
    Outcome::well(&json!({ "images": json }), text)
}
