//! Arguments of a call, read into a tool's own type. What is wrong is said with its place.

use armor_core::error::{Code, Report};
use rmcp::model::JsonObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads the arguments. Types that deny unknown fields refuse what the tool does not know.
pub(crate) fn parse<T: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<T, Report> {
    let arguments = Value::Object(arguments.unwrap_or_default());
    serde_path_to_error::deserialize(arguments).map_err(|error| {
        let place = error.path().to_string();
        let what = error.inner().to_string();
        let code = if what.starts_with("unknown field") {
            Code::ArgumentUnknown
        } else if what.starts_with("missing field") {
            Code::ArgumentMissing
        } else {
            Code::ArgumentInvalid
        };
        let message = match place.as_str() {
            "." => what,
            place => format!("argument `{place}`: {what}"),
        };
        let next_step = Some("Give the arguments that the tool's input schema names.".to_owned());
        Report { code, message, next_step }
    })
}
