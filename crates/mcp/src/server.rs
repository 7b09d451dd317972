//! The protocol's handler: one table of tools, one way for errors.

use std::sync::Arc;

use armor_core::error::{Code, Report};
use armor_lifecycle::Lifecycle;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;

use crate::reply::failure;
use crate::tool::{Call, Registered};
use crate::tools;

const INSTRUCTIONS: &str = "\
Agentic Armor gives each task a sandbox of its own: a hardened container with a working copy of \
the repository in /workspace and a git branch task/<id>. Work in it like this: create_task_sandbox \
once, attach_agent_to_task with a name for yourself, then execute_in_task for every command, and \
detach_agent_from_task at the end. Commit with git inside the sandbox: at detach and stop, the \
commits come onto the task's branch in the user's repository. Nothing that is said between calls \
is remembered but by the task: any later call, also from another connection, goes on with its \
task_id. A failed call says in `error` what happened and what to do next.";

/// The handler. Cheap to clone: the HTTP service takes a clone for every request.
#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

struct Inner {
    lifecycle: Lifecycle,
    tools: Vec<Registered>,
    stopping: CancellationToken,
}

impl Server {
    pub(crate) fn new(lifecycle: Lifecycle, stopping: CancellationToken) -> Self {
        Self(Arc::new(Inner { lifecycle, tools: tools::all(), stopping }))
    }

    async fn answer(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, Report> {
        let tool = self.0.tools.iter().find(|tool| tool.definition.name == request.name);
        let tool = tool.ok_or_else(|| Report {
            code: Code::ArgumentUnknown,
            message: format!("there is no tool `{}`", request.name.escape_debug()),
            next_step: Some("List the tools with tools/list.".to_owned()),
        })?;
        let call = Call::new(self.0.lifecycle.clone(), context, self.0.stopping.clone());
        (tool.run)(call, request.arguments).await
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("agentic-armor", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.0.tools.iter().map(|tool| tool.definition.clone()).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.clone();
        let result = self.answer(request, context).await.unwrap_or_else(|report| {
            tracing::info!(tool = %name, %report, "a call failed");
            failure(&report)
        });
        Ok(result.into())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tool = self.0.tools.iter().find(|tool| tool.definition.name == name)?;
        Some(tool.definition.clone())
    }
}
