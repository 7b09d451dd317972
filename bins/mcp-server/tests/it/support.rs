//! Starting the server in a temporary home.

use std::process::Command;

use armor_testkit::{Home, McpClient, Protocol};

/// The server, ready to be started in this home.
pub(crate) fn server(home: &Home) -> Command {
    home.command(env!("CARGO_BIN_EXE_armor-mcp"))
}

/// A client of our own with a server in this home.
pub(crate) async fn client(home: &Home) -> McpClient {
    McpClient::start(server(home), Protocol::Stateless).await
}
