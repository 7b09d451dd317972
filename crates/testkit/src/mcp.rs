//! A small MCP client over standard input and output, for tests that need many calls and no
//! independent implementation.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::{Mutex, oneshot};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_mins(5);

/// How a client begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Revision 2026-07-28: no handshake, everything in each request.
    Stateless,
    /// Revision 2025-11-25: `initialize` first.
    Handshake,
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// A client with the server process that it started.
#[derive(Debug)]
pub struct McpClient {
    child: Child,
    stdin: Mutex<Option<ChildStdin>>,
    waiting: Waiting,
    next: AtomicU64,
    protocol: Protocol,
}

impl McpClient {
    /// Starts a server and a session with it.
    pub async fn start(command: Command, protocol: Protocol) -> Self {
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().unwrap();
        let waiting: Waiting = Arc::default();
        tokio::spawn(read(BufReader::new(stdout), waiting.clone()));
        let client =
            Self { child, stdin: Mutex::new(stdin), waiting, next: AtomicU64::new(1), protocol };
        if protocol == Protocol::Handshake {
            let client_info = json!({ "name": "testkit", "version": "0" });
            let hello = json!({
                "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client_info,
            });
            client.request("initialize", hello).await;
            client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        }
        client
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Calls a tool and gives its structured result; panics when it is an error.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        let result = self.call_raw(tool, arguments.clone()).await;
        assert!(result["isError"] != true, "{tool} {arguments}: {result:#}");
        result["structuredContent"].clone()
    }

    /// Calls a tool that is to fail and gives the error: code, message and next step.
    pub async fn fail(&self, tool: &str, arguments: Value) -> Value {
        let result = self.call_raw(tool, arguments.clone()).await;
        assert!(result["isError"] == true, "{tool} {arguments} went well: {result:#}");
        let structured = &result["structuredContent"];
        let error = structured.get("error").or_else(|| structured.get("problem"));
        error.unwrap_or_else(|| panic!("{tool} {arguments}: {result:#}")).clone()
    }

    /// Calls a tool and gives the whole result.
    pub async fn call_raw(&self, tool: &str, arguments: Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        let answer = self.request("tools/call", params).await;
        assert!(answer.get("error").is_none(), "{tool}: {answer:#}");
        answer["result"].clone()
    }

    /// Begins a call without waiting for its answer.
    pub async fn begin(&self, tool: &str, arguments: Value) {
        let params = self.with_meta(json!({ "name": tool, "arguments": arguments }));
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let message =
            json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        self.send(&message).await;
    }

    /// Kills the server, as by `kill -9`, and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Closes the server's input and gives how it ended.
    pub async fn close(mut self) -> std::process::ExitStatus {
        drop(self.stdin.lock().await.take());
        tokio::time::timeout(LIMIT, self.child.wait()).await.unwrap().unwrap()
    }

    /// Sends a request and gives the whole answer.
    pub async fn request(&self, method: &str, params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().await.insert(id, sender);
        let params = self.with_meta(params);
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(&message).await;
        let answer = tokio::time::timeout(LIMIT, receiver).await;
        answer.unwrap_or_else(|_| panic!("no answer to {message}")).expect("the server ended")
    }

    fn with_meta(&self, mut params: Value) -> Value {
        if self.protocol == Protocol::Stateless {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "testkit", "version": "0" },
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        params
    }

    async fn send(&self, message: &Value) {
        let mut stdin = self.stdin.lock().await;
        let stdin = stdin.as_mut().expect("close() takes the client");
        stdin.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }
}

async fn read(mut stdout: BufReader<tokio::process::ChildStdout>, waiting: Waiting) {
    let mut line = String::new();
    while stdout.read_line(&mut line).await.unwrap_or(0) > 0 {
        let message: Value = serde_json::from_str(&line).unwrap();
        if let Some(id) = message["id"].as_u64()
            && let Some(waiter) = waiting.lock().await.remove(&id)
        {
            // The test may have stopped waiting.
            let _told = waiter.send(message);
        }
        line.clear();
    }
    // Whoever still waits is told by the sender's end.
    waiting.lock().await.clear();
}
