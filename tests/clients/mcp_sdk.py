"""The Model Context Protocol's Python SDK against Orch: over HTTP in both ways of the protocol, and over stdio."""

import asyncio
import os
import ssl

import httpx2
import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

URL = os.environ["ORCH_MCP_URL"]
AUTHORITY = "/".join(os.environ["KUBECONFIG"].split("/")[:-1]) + "/pki/ca.crt"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {text: %s}\n"


def http(token=None, **headers):
    """A client that trusts Orch's authority, as the owner of a token."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    trust = ssl.create_default_context(cafile=AUTHORITY)
    return httpx2.AsyncClient(verify=trust, headers=headers, timeout=httpx2.Timeout(20, read=60))


async def uses(client, name):
    """What every connection can do, whatever its revision."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {"apply", "get", "list", "delete", "diagnose", "plan"} <= set(tools), tools
    assert tools["list"].annotations.read_only_hint and tools["delete"].annotations.destructive_hint
    applied = await client.call_tool("apply", {"manifests": MAP % (name, "one"), "reason": "the SDK"})
    assert applied.structured_content["results"][0]["action"] == "created", applied
    read = await client.call_tool("get", {"kind": "cm", "name": name, "fields": ["data.text"]})
    assert read.structured_content["objects"] == [{"data.text": "one"}], read
    refused = await client.call_tool("get", {"kind": "cm", "name": "none"})
    assert refused.is_error and refused.structured_content["error"]["code"] == "not_found", refused
    cluster = await client.read_resource("orch://cluster")
    assert '"nodes"' in cluster.contents[0].text, cluster
    prompt = await client.get_prompt("triage", {"object": "workload/web"})
    assert "workload/web" in prompt.messages[0].content.text, prompt


async def sessions(token):
    """Revisions with sessions: updates of a resource arrive while other calls are made."""
    updated = asyncio.Event()

    async def message(message):
        if isinstance(message, types.ResourceUpdatedNotification):
            updated.set()

    async with http(token) as connection:
        transport = streamable_http_client(URL, http_client=connection)
        async with Client(transport, mode="legacy", message_handler=message) as client:
            assert client.protocol_version == "2025-11-25", client.protocol_version
            await uses(client, "in-session")
            await client.subscribe_resource("orch://object/cm/default/in-session")
            for text in range(100):
                if updated.is_set():
                    break
                await client.call_tool("apply", {"manifests": MAP % ("in-session", f"'{text}'")})
                try:
                    await asyncio.wait_for(updated.wait(), 0.5)
                except TimeoutError:
                    pass
            assert updated.is_set(), "no update has arrived"
            await client.unsubscribe_resource("orch://object/cm/default/in-session")


async def stateless(token):
    """The revision without sessions: each request stands for itself, updates are a stream of one request."""
    async with http(token) as connection:
        transport = streamable_http_client(URL, http_client=connection)
        async with Client(transport, mode="2026-07-28") as client:
            await uses(client, "stateless")
            uri = "orch://object/cm/default/stateless"
            async with client.listen(resource_subscriptions=[uri]) as updates:
                changing = asyncio.create_task(keep_changing(client, "stateless"))
                update = await asyncio.wait_for(anext(aiter(updates)), 20)
                changing.cancel()
                assert update.uri == uri, update
        async with Client(streamable_http_client(URL, http_client=connection)) as client:
            assert client.protocol_version == "2026-07-28", client.protocol_version


async def keep_changing(client, name):
    for text in range(1000):
        await client.call_tool("apply", {"manifests": MAP % (name, f"'{text}'")})
        await asyncio.sleep(0.2)


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}


async def doors(token, other):
    """Who is let in."""
    accept = {"Accept": "application/json, text/event-stream"}
    async with http(token, **accept) as ann, http(other, **accept) as nob, http(**accept) as stranger:
        assert (await stranger.post(URL, json=HELLO)).status_code == 401
        assert (await stranger.post(URL, json=HELLO, headers={"Authorization": "Bearer wrong"})).status_code == 401
        elsewhere = {"Origin": "https://evil.example"}
        assert (await ann.post(URL, json=HELLO, headers=elsewhere)).status_code == 403, "another origin"
        assert (await ann.post(URL, json=HELLO, headers={"Host": "evil.example"})).status_code == 403, "another host"
        began = await ann.post(URL, json=HELLO)
        assert began.status_code == 200, began.text
        session = {"mcp-session-id": began.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        await ann.post(URL, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=session)
        tools = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        assert (await nob.post(URL, json=tools, headers=session)).status_code == 404, "somebody else's session"
        assert (await ann.post(URL, json=tools, headers=session)).status_code == 200
        assert (await ann.delete(URL, headers=session)).status_code in (200, 202, 204)
        assert (await ann.post(URL, json=tools, headers=session)).status_code == 404, "a session that has ended"
        transport = streamable_http_client(URL, http_client=nob)
        async with Client(transport) as client:
            refused = await client.call_tool("list", {"kind": "pods"})
            assert refused.structured_content["error"]["code"] == "forbidden", refused
            assert (await client.call_tool("kinds", {"match": "pod"})).structured_content["kinds"]


async def stdio():
    server = StdioServerParameters(
        command=os.environ["ORCHCTL"], args=["mcp"], env={"KUBECONFIG": os.environ["KUBECONFIG"]}
    )
    async with Client(server) as client:
        assert client.protocol_version == "2026-07-28", client.protocol_version
        await uses(client, "stdio")
        try:
            await client.call_tool("none", {})
            raise AssertionError("there is no such tool")
        except MCPError as error:
            assert "tools/list" in str(error), error
    async with Client(server, mode="legacy") as client:
        await uses(client, "stdio-legacy")


async def main():
    token, other = os.environ["ORCH_TOKEN"], os.environ["ORCH_OTHER_TOKEN"]
    for step in [sessions(token), stateless(token), doors(token, other), stdio()]:
        await asyncio.wait_for(step, 120)


asyncio.run(main())
