//! Results of calls: structured content with a short text beside it.

use armor_core::error::Report;
use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serialize;
use serde_json::json;

/// What a tool gives: its structured result, the text, and whether it is to be seen as an error.
#[derive(Debug)]
pub(crate) struct Reply {
    structured: serde_json::Value,
    text: String,
    is_error: bool,
}

impl Reply {
    /// A result with its text.
    pub(crate) fn new(structured: &impl Serialize, text: String) -> Result<Self, Report> {
        let structured = serde_json::to_value(structured).map_err(|error| Report {
            code: armor_core::error::Code::Internal,
            message: error.to_string(),
            next_step: None,
        })?;
        Ok(Self { structured, text, is_error: false })
    }

    /// The same, marked as an error: the structured content is what the tool always gives.
    pub(crate) fn marked_as_error(mut self, is_error: bool) -> Self {
        self.is_error = is_error;
        self
    }
}

impl From<Reply> for CallToolResult {
    fn from(reply: Reply) -> Self {
        let content = vec![ContentBlock::text(reply.text)];
        let mut result = if reply.is_error { Self::error(content) } else { Self::success(content) };
        result.structured_content = Some(reply.structured);
        result
    }
}

/// A call that failed.
pub(crate) fn failure(report: &Report) -> CallToolResult {
    let next = report.next_step.as_ref().map(|next| format!("\nNext: {next}")).unwrap_or_default();
    let mut result = CallToolResult::error(vec![ContentBlock::text(format!("{report}{next}"))]);
    result.structured_content = Some(json!({ "error": report }));
    result
}
