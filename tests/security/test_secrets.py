"""Secrets, planted wherever a host keeps or gets some, are looked for in all that it says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from showground.capabilities import COMMUNITY
from showground.keys import KeySpace
from showground.redis.server import ServerProcess
from showground.testing.bundles import write_bundle
from showground.testing.host import SECRET_KEY, TICKET_KEY, running_host
from showground.testing.waiting import eventually
from showground_community.sessions import Sessions

SETTING = "canary-5e77ing-of-an-app"
WEBHOOK = f"whsec_{base64.b64encode(b'canary-of-a-webhook-' * 2).decode()}"
APP = """
import logging
from showground import Devvit

Devvit.add_settings([{"type": "string", "name": "key", "label": "Key", "scope": "app", "is_secret": True}])

@Devvit.add_trigger("PostCreate")
async def leak(event, context):
    key = await context.settings.get("key")
    print("the key is", key)
    print(f'{{"key": "{key}"}}')
    logging.error("key=%s", key)
    return "said"

@Devvit.add_trigger("PostDelete")
async def fail(event, context):
    raise ValueError("refused with " + await context.settings.get("key"))
"""


async def test_no_secret_is_ever_said(
    tmp_path: Path,
    redis_url: str,
    keys: KeySpace,
    redis_server: ServerProcess,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CANARY_WEBHOOK", WEBHOOK)
    bundle = write_bundle(tmp_path / "leaky", APP)
    sections: dict[str, Any] = {
        "host": {"demo": True},
        "logs": {"level": "debug", "format": "json"},
        "webhooks": {
            "shop": {"community": "playground", "event": "PostCreate", "secret_variables": ["CANARY_WEBHOOK"]}
        },
    }
    said: list[str] = []
    async with running_host(tmp_path / "data", redis_url, keys.prefix, **sections) as host:
        url = host.host.url
        await host.install(bundle)
        await host.call("PUT", "/api/v1/apps/leaky/settings", json={"key": SETTING})
        made = await host.call("POST", "/api/v1/tokens", json={"name": "reader", "scopes": ["read"]})
        forum: Any = host.host.plugins.provider(COMMUNITY)
        ada = await forum.join("Ada")
        cookie = aiohttp.web.Response()
        forum.sessions.sign_in(cookie, ada.id)
        session = cookie.cookies[forum.sessions.cookie].value
        assert isinstance(forum.sessions, Sessions)
        secrets = {
            "the root token": host.host.root_token,
            "a token": made["token"],
            "an app's secret": SETTING,
            "a webhook's secret": WEBHOOK,
            "the secret key": SECRET_KEY,
            "a ticket key": base64.b64encode(TICKET_KEY).decode(),
            "Redis' password": redis_server.password,
            "a session": session,
        }

        async def note(method: str, path: str, **more: Any) -> None:
            async with aiohttp.ClientSession() as client, client.request(method, url + path, **more) as response:
                said.append(f"{response.status} {response.headers} {await response.text()}")

        for method, path, _ in host.host.routes:
            if (
                method not in ("GET", "POST")
                or path.endswith(("/socket", "/stream", "/channels/{name}"))
                or "tokens" in path
            ):
                continue
            values = {"community": "playground", "app": "leaky", "post": "t3_x", "view": "v", "event": "PostDelete", "name": "x",
                      "id": "x", "version": "1.0.0", "job": "x", "digest": "x", "path": "x"}  # fmt: skip
            address = path.replace(":.+", "").format_map(values)
            for bearer in (host.host.root_token, made["token"], host.host.root_token + "x", ""):
                headers = {
                    "Authorization": f"Bearer {bearer}",
                    "Cookie": f"{forum.sessions.cookie}={session}x",
                    "Accept": "text/html",
                }
                await note(method, address, headers=headers, data=b"{" if method == "POST" else None)
        for query in (f"access_token={host.host.root_token}", f"ticket={session}", f"access_token={made['token']}x"):
            for path in ("/api/v1/apps", "/nothing", "/embed/t3_x", "/api/v1/nothing", "/api/v1/communities/%ff/apps"):
                await note("GET", f"{path}?{query}")
        admin = {"Authorization": f"Bearer {host.host.root_token}"}
        post = "/api/v1/communities/playground/apps/leaky/invoke/PostCreate"
        await note("POST", post, headers=admin, json={"post": {"id": "t3_1"}})
        await note("POST", post.replace("PostCreate", "PostDelete"), headers=admin, json={"postId": "t3_1"})
        await host.emit("PostDelete", {"postId": "t3_1"}, wait_s=0.5)
        for setting in ("/api/v1/apps/leaky/settings", "/api/v1/communities/playground/apps/leaky/settings"):
            await note("GET", setting, headers=admin)
            await note("PUT", setting, headers=admin, json={"key": SETTING, "unknown": 1})
            await note("PUT", setting, headers=admin, json={"key": [SETTING]})

        async def logged() -> bool:
            logs = "/api/v1/communities/playground/apps/leaky/logs"
            async with host.client.get(url + logs) as response:
                text = await response.text()
            return "the key is" in text and "Traceback" in text

        await eventually(logged)
        one = "/api/v1/communities/playground/apps/leaky"
        paths = (
            "/metrics /readyz /api/v1/openapi.json /api/v1/apps /api/v1/apps/leaky /api/v1/tokens / /c/playground /demo"
        )
        for path in (*paths.split(), f"{one}/logs", f"{one}/dead-letters", f"{one}/export", "/sign-in"):
            await note("GET", path, headers=admin)
    said.append("".join(capfd.readouterr()))
    assert len(said) > 150
    for what, secret in secrets.items():
        forms = {secret, json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode()}
        for text in said:
            for form in forms:
                assert form not in text, (
                    f"{what} was said: {text[max(0, text.index(form) - 300) : text.index(form) + 20]}"
                )
