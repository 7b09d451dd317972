"""Drives armor-mcp with the independent Python client through all tools.

Called with the server's program, the repository, and `stdio` or `http`; the environment is the
server's. Both lifecycles are run: discovery (revision 2026-07-28) and the handshake of the older
revisions. Says `ok` at the end; anything unexpected is an exception.
"""

import asyncio
import os
import subprocess
import sys

from mcp import Client
from mcp.client.stdio import StdioServerParameters

PROGRAM, REPOSITORY, TRANSPORT = sys.argv[1:]
TOOLS = {
    "create_task_sandbox",
    "attach_agent_to_task",
    "detach_agent_from_task",
    "execute_in_task",
    "list_tasks",
    "get_task_status",
    "create_checkpoint",
    "list_checkpoints",
    "restore_checkpoint",
    "fork_task",
    "record_decision",
    "stop_task",
    "delete_task",
}


def git(*arguments):
    result = subprocess.run(["git", "-C", REPOSITORY, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


async def session(server, mode):
    async with Client(server, mode=mode, read_timeout_seconds=900) as client:
        discovered = client.session.discover_result is not None
        assert discovered == (mode == "auto"), (mode, client.protocol_version)
        assert (client.protocol_version == "2026-07-28") == discovered, client.protocol_version

        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools.keys() == TOOLS, tools.keys()
        for tool in tools.values():
            assert tool.description and tool.annotations and tool.output_schema, tool.name
            assert tool.input_schema["additionalProperties"] is False, tool.name

        async def call(name, /, **arguments):
            # The client checks each structured result against the tool's output schema.
            result = await client.call_tool(name, arguments)
            assert not result.is_error, (name, arguments, result.structured_content)
            assert result.content[0].text, name
            return result.structured_content

        name = f"with the {mode} client over {TRANSPORT}"
        task = await call(
            "create_task_sandbox", name=name, workspace=REPOSITORY, owner="tester", metadata={"n": 1}
        )
        task_id, branch = task["task_id"], task["branch"]
        assert task["status"] == "pending" and branch == f"task/{task_id}", task
        assert git("rev-parse", branch) == git("rev-parse", "HEAD")

        attached = await call("attach_agent_to_task", task_id=task_id, agent_id="agent-1")
        assert (attached["status"], attached["sandbox"]) == ("running", "ready"), attached

        async def execute(command, **more):
            return await call("execute_in_task", task_id=task_id, command=command, **more)

        written = await execute(["tee", "hello.sh"], stdin="#!/bin/sh\necho hello $1\n")
        assert written["exit_code"] == 0, written
        ran = await execute(
            'chmod +x hello.sh && ./hello.sh "$WHO" && echo oops >&2 && exit 3', env={"WHO": "world"}
        )
        assert (ran["stdout"], ran["stderr"], ran["exit_code"]) == ("hello world\n", "oops\n", 3), ran
        committed = await execute(
            "git add hello.sh && git commit --quiet --message 'Say hello' && git status --porcelain"
            " && git log -1 --format='%an <%ae> %s' && git diff --stat HEAD~1"
        )
        assert committed["exit_code"] == 0, committed
        assert "agent-1 <agent-1@agents.invalid> Say hello" in committed["stdout"], committed
        assert "hello.sh" in committed["stdout"], committed

        kept = await call("create_checkpoint", task_id=task_id, name="said-hello")
        assert kept["cause"] == "asked" and kept["files"] > 0, kept
        await execute("rm hello.sh && echo changed > README.md")
        await call("restore_checkpoint", task_id=task_id, checkpoint="said-hello", path="hello.sh")
        again = await execute("./hello.sh again; cat README.md")
        assert again["stdout"] == "hello again\nchanged\n", again
        restored = await call("restore_checkpoint", task_id=task_id, checkpoint="said-hello")
        assert restored["checkpoint_id"] == kept["checkpoint_id"], restored
        checkpoints = await call("list_checkpoints", task_id=task_id)
        causes = [entry["cause"] for entry in checkpoints["checkpoints"]]
        assert causes == ["asked", "before_restore", "before_restore"], causes
        # A restored task begins anew.
        await call("attach_agent_to_task", task_id=task_id, agent_id="agent-1")
        clean = await execute("git status --porcelain")
        assert clean["stdout"] == "", clean
        await call(
            "record_decision",
            task_id=task_id,
            agent_id="agent-1",
            what="Say hello",
            why="It was asked for.",
            alternatives=["Say nothing"],
        )
        fork = await call("fork_task", task_id=task_id, checkpoint="said-hello", name=f"{name}, 2")
        assert fork["forked_from"]["checkpoint_id"] == kept["checkpoint_id"], fork
        assert fork["branch"] == f"task/{fork['task_id']}", fork
        await call("delete_task", task_id=fork["task_id"], force=True)

        detached = await call("detach_agent_from_task", task_id=task_id, agent_id="agent-1")
        assert detached["status"] == "running" and detached["uncommitted_files"] == 0, detached
        assert git("show", f"{branch}:hello.sh").endswith("echo hello $1"), detached
        assert git("rev-parse", branch) == detached["head"], detached

        listed = await call("list_tasks", owner="tester", status="running", limit=1)
        assert [entry["task_id"] for entry in listed["tasks"]] == [task_id], listed
        status = await call("get_task_status", task_id=name)
        codes = [execution["exit_code"] for execution in status["executions"]]
        assert codes == [0, 0, 0, 0, 3, 0], status

        stopped = await call("stop_task", task_id=task_id, reason="seen enough")
        assert (stopped["status"], stopped["message"]) == ("cancelled", "seen enough"), stopped
        deleted = await call("delete_task", task_id=task_id)
        assert deleted["deleted"] is True and deleted["branch"] == branch, deleted
        gone = await client.call_tool("get_task_status", {"task_id": task_id})
        assert gone.is_error, gone
        assert gone.structured_content["error"]["code"] == "task.not_found", gone


async def main():
    if TRANSPORT == "stdio":
        for mode in ("auto", "legacy"):
            await session(StdioServerParameters(command=PROGRAM, env=dict(os.environ)), mode)
    else:
        server = subprocess.Popen(
            [PROGRAM, "--http", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
        )
        try:
            url = server.stdout.readline().strip()
            for mode in ("auto", "legacy"):
                await session(url, mode)
        finally:
            server.terminate()
        assert server.wait(20) == 0
    print("ok")


asyncio.run(main())
