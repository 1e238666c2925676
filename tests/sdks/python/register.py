"""Registers every client of clients.json with the MCP SDK's own models and functions, and checks what they made of the answer.

Arguments: the base URL and clients.json. One line a case; fails at the end if any case failed. The
registration endpoint is found by the SDK, in the service's own metadata.
"""

import asyncio
import json
import logging
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import httpx
from mcp.client.auth import OAuthClientProvider, OAuthRegistrationError
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    create_client_registration_request,
    create_oauth_metadata_request,
    handle_auth_metadata_response,
    handle_registration_response,
    validate_metadata_issuer,
)
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from pydantic import ConfigDict

BASE, CLIENTS = sys.argv[1:]
ENDPOINT = f"{BASE}/oauth/register"

class Metadata(OAuthClientMetadata):
    """The SDK's request, with the members that its model does not know."""

    model_config = ConfigDict(extra="allow")


async def discover(http: httpx.AsyncClient):
    for url in build_oauth_authorization_server_metadata_discovery_urls(BASE, f"{BASE}/mcp"):
        proceed, metadata = await handle_auth_metadata_response(await http.send(create_oauth_metadata_request(url)))
        if metadata:
            validate_metadata_issuer(metadata, BASE)
            return metadata
        assert proceed, f"{url} stops the search"
    raise AssertionError("no metadata was found")


async def check_discovery(http: httpx.AsyncClient) -> None:
    metadata = await discover(http)
    assert str(metadata.registration_endpoint) == ENDPOINT, metadata
    assert str(metadata.authorization_endpoint) == "https://as.example/authorize", metadata
    assert str(metadata.token_endpoint) == "https://as.example/token", metadata
    assert "code" in metadata.response_types_supported, metadata


async def register(http: httpx.AsyncClient, sends: dict) -> tuple[dict, dict, OAuthClientInformationFull]:
    """What the SDK sent, what came back, and what the SDK made of that."""
    request = create_client_registration_request(await discover(http), Metadata.model_validate(sends), BASE)
    response = await http.send(request)
    parsed = await handle_registration_response(response)
    assert response.status_code == 201, response.status_code
    return json.loads(request.content), response.json(), parsed


async def check_client(http: httpx.AsyncClient, client: dict, ids: set[str]) -> None:
    sent, answer, parsed = await register(http, client["sends"])
    made = parsed.model_dump(mode="json", exclude_none=True)
    expected = {**client.get("filled_in", {}), **sent}
    for member in client.get("left_out", []):
        del expected[member]
        assert member not in answer and member not in made, f"{member} is in the answer"
    for member, value in expected.items():
        assert answer.get(member) == value, f"{member}: {answer.get(member)!r} is not {value!r}"
        if member in OAuthClientInformationFull.model_fields:
            assert made.get(member) == value, f"{member} as parsed: {made.get(member)!r} is not {value!r}"
    assert parsed.client_id and parsed.client_id not in ids, "the client_id is missing or was given before"
    ids.add(parsed.client_id)
    assert abs(parsed.client_id_issued_at - time.time()) < 120, "client_id_issued_at is not now"
    assert bool(parsed.client_secret) == client.get("secret", False), "whether there is a secret"
    assert parsed.client_secret_expires_at == (0 if client.get("secret") else None), parsed.client_secret_expires_at
    check_token_auth(parsed)
    await manage(http, answer)


def check_token_auth(parsed: OAuthClientInformationFull) -> None:
    """How the SDK would now come to the token endpoint."""
    provider = OAuthClientProvider(BASE, parsed, storage=None)
    provider.context.client_info = parsed
    data, headers = provider.context.prepare_token_auth({}, {})
    method = parsed.token_endpoint_auth_method
    assert ("Authorization" in headers) == (method == "client_secret_basic"), headers
    assert ("client_secret" in data) == (method == "client_secret_post"), data


async def manage(http: httpx.AsyncClient, answer: dict) -> None:
    """RFC 7592, which the SDK does not speak; what comes back has to be what it can parse.

    A client may send back all that it was told (section 2.2).
    """
    uri, secret = answer["registration_client_uri"], answer.get("client_secret")
    headers = {"Authorization": f"Bearer {answer['registration_access_token']}"}
    read = await http.get(uri, headers=headers)
    assert read.status_code == 200, read.text
    body = read.json()
    assert body == {name: value for name, value in answer.items() if not name.startswith("client_secret")}, body
    OAuthClientInformationFull.model_validate(body)

    servers = ("registration_access_token", "registration_client_uri", "client_id_issued_at", "gatebook")
    own = {name: value for name, value in body.items() if name not in servers}
    renamed = await http.put(uri, headers=headers, json={**own, **({"client_secret": secret} if secret else {}), "client_name": "Renamed"})
    assert renamed.status_code == 200, renamed.text
    assert OAuthClientInformationFull.model_validate(renamed.json()).client_name == "Renamed"

    more = [*own["redirect_uris"], "https://relay.example.com/cb"]
    staged = await http.put(uri, headers=headers, json={**own, "redirect_uris": more})
    assert staged.status_code == 200, staged.text
    OAuthClientInformationFull.model_validate(staged.json())
    assert staged.json()["redirect_uris"] == answer["redirect_uris"], staged.text
    assert staged.json()["gatebook"]["staged_change"]["added"] == ["https://relay.example.com/cb"], staged.text

    deleted = await http.delete(uri, headers=headers)
    assert deleted.status_code == 204, deleted.text
    gone = await http.get(uri, headers=headers)
    assert gone.status_code == 401, gone.text


async def check_refusal(http: httpx.AsyncClient) -> None:
    try:
        await register(http, {"redirect_uris": ["javascript:alert(1)"]})
    except OAuthRegistrationError as error:
        assert "400" in str(error) and "invalid_redirect_uri" in str(error), error
    else:
        raise AssertionError("javascript: was registered")


class Away(Exception):
    """The user was sent to the authorization server."""


class Storage:
    """Where the SDK keeps what it got."""

    client: OAuthClientInformationFull | None = None

    async def get_tokens(self):
        return None

    async def set_tokens(self, tokens) -> None:
        raise AssertionError("there are no tokens yet")

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def check_whole_way(http: httpx.AsyncClient) -> None:
    """What an MCP client does after the first 401: discovers, registers and sends the user away, in one flow of the SDK."""
    sent_to: list[str] = []

    async def leave(url: str) -> None:
        sent_to.append(url)
        raise Away

    async def never() -> tuple[str, str | None]:
        raise AssertionError("nobody comes back")

    storage = Storage()
    metadata = OAuthClientMetadata(client_name="Whole way", redirect_uris=["http://localhost:33417/callback"])
    provider = OAuthClientProvider(f"{BASE}/mcp", metadata, storage, leave, never)
    flow = provider.async_auth_flow(httpx.Request("POST", f"{BASE}/mcp"))
    request = await anext(flow)
    response = httpx.Response(401, request=request)
    try:
        while True:
            request = await flow.asend(response)
            response = await http.send(request)
    except Away:
        pass
    away = urlsplit(sent_to[0])
    assert f"{away.scheme}://{away.netloc}{away.path}" == "https://as.example/authorize", sent_to
    assert storage.client and parse_qs(away.query)["client_id"] == [storage.client.client_id], sent_to


async def main() -> int:
    logging.getLogger("mcp.client.auth.oauth2").disabled = True
    failed = 0

    async def check(name: str, run: Callable[[], Awaitable[None]]) -> None:
        nonlocal failed
        try:
            await run()
            print(f"ok      mcp: {name}")
        except Exception:
            failed += 1
            print(f"FAILED  mcp: {name}\n{traceback.format_exc()}")

    with open(CLIENTS, encoding="utf-8") as file:
        clients = json.load(file)
    ids: set[str] = set()
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        await check("discovers", lambda: check_discovery(http))
        for client in clients:
            await check(client["name"], lambda client=client: check_client(http, client, ids))
        await check("understands a refusal", lambda: check_refusal(http))
        await check("discovers, registers and sends the user to the authorization server", lambda: check_whole_way(http))
    print("all is well" if failed == 0 else f"{failed} failed")
    return 0 if failed == 0 else 1


sys.exit(asyncio.run(main()))
