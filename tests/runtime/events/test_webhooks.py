"""Webhooks of other services, signed by the reference library of Standard Webhooks, at a real host."""

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook

from showground.apps.secrets import SecretBox
from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.testing.host import SECRET_KEY, HostUnderTest, running_host

NEW, OLD, FOREIGN = (f"whsec_{base64.b64encode(key * 32).decode()}" for key in (b"n", b"o", b"f"))
PAID: dict[str, Any] = {
    "com.example.Paid": {"type": "object", "required": ["order"], "properties": {"order": {"type": "integer"}}}
}
APP = {
    "app.json": '{"name": "shop", "version": "1.0.0"}',
    "main.py": """
from showground import Devvit

@Devvit.add_trigger("com.example.Paid")
async def paid(event, context):
    print("order", event["order"])
""",
}


@pytest.fixture
async def host(
    tmp_path: Path, redis_url: str, keys: KeySpace, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[HostUnderTest]:
    monkeypatch.setenv("SHOP_SECRET", NEW)
    bundle = tmp_path / "shop"
    bundle.mkdir()
    for name, text in APP.items():
        (bundle / name).write_text(text)
    shop = {
        "community": "playground",
        "event": "com.example.Paid",
        "secret_variables": ["SHOP_SECRET"],
        "sealed_secrets": [SecretBox([SECRET_KEY]).seal("webhook", "shop", OLD)],
        "fields": {"order": "data.number"},
    }
    webhooks = {"shop": shop, "other": {**shop, "sealed_secrets": []}}
    sections: dict[str, Any] = {"events": {"types": PAID}, "webhooks": webhooks}
    async with running_host(tmp_path / "data", redis_url, keys.prefix, **sections) as host:
        await host.install(bundle)
        yield host


def signed(secret: str, body: str, id: str = "msg_1", at: float | None = None) -> dict[str, str]:
    when = datetime.fromtimestamp(int(time.time() if at is None else at), UTC)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": Webhook(secret).sign(id, when, body),
    }


async def send(host: HostUnderTest, headers: dict[str, str], body: str, name: str = "shop") -> tuple[int, Any]:
    address = f"{host.host.url}/api/v1/webhooks/{name}"
    async with aiohttp.ClientSession() as sender, sender.post(address, data=body, headers=headers) as response:
        return response.status, await response.json()


BODY = json.dumps({"type": "paid", "data": {"number": 7, "card": "4111"}})


async def test_a_signed_webhook_becomes_an_event_of_its_community_once(host: HostUnderTest) -> None:
    headers = signed(NEW, BODY)
    assert await send(host, headers, BODY) == (202, {"id": "msg_1", "deliveries": 1})
    assert await send(host, signed(NEW, BODY, at=time.time() + 60), BODY) == (202, {"id": "msg_1", "deliveries": 1})
    next_order = BODY.replace('"number": 7', '"number": 8')
    assert (await send(host, signed(NEW, next_order, "msg_2"), next_order))[0] == 202
    path = "/api/v1/communities/playground/apps/shop/logs?follow=1"
    handled = []
    async with host.client.get(host.host.url + path) as response:
        async for line in response.content:
            if line.strip():
                handled.append(json.loads(line)["text"])
            if handled[-1:] == ["order 8"]:
                break
    assert handled == ["order 7", "order 8"]


async def test_a_secret_is_changed_without_a_gap(host: HostUnderTest) -> None:
    assert (await send(host, signed(OLD, BODY, "msg_old"), BODY))[0] == 202
    both = signed(NEW, BODY, "msg_both")
    both["webhook-signature"] = f"{signed(FOREIGN, BODY)['webhook-signature']} {both['webhook-signature']} v1a,unknown"
    assert (await send(host, both, BODY))[0] == 202
    assert (await send(host, signed(OLD, BODY), BODY, "other"))[0] == 401


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda: {"webhook-signature": ""}, "missing"),
        (lambda: {"webhook-signature": "v1,"}, "no signature"),
        (lambda: {"webhook-signature": "v1,\u00fc"}, "no signature"),
        (lambda: {"webhook-signature": "v2,abc"}, "no signature"),
        (lambda: {"webhook-id": "msg_2"}, "no signature"),
        (lambda: {"webhook-id": "m" * 257}, "malformed"),
        (lambda: {"webhook-timestamp": str(int(time.time()) + 2)}, "no signature"),
        (lambda: {"webhook-timestamp": "now"}, "number"),
        (lambda: {"webhook-timestamp": "-1"}, "number"),
        (lambda: {"webhook-timestamp": "9" * 400}, "number"),
        (lambda: signed(FOREIGN, BODY), "no signature"),
        (lambda: signed(NEW, BODY + " "), "no signature"),
        (lambda: signed(NEW, BODY, at=time.time() - 330), "clock"),
        (lambda: signed(NEW, BODY, at=time.time() + 330), "clock"),
    ],
)
async def test_what_was_not_signed_so_is_refused(
    host: HostUnderTest, change: Callable[[], dict[str, str]], why: str
) -> None:
    status, answer = await send(host, {**signed(NEW, BODY), **change()}, BODY)
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
    assert why in answer["error"]["message"]
    assert NEW not in json.dumps(answer)


async def test_a_signature_from_within_the_tolerance_is_taken(host: HostUnderTest) -> None:
    assert (await send(host, signed(NEW, BODY, at=time.time() - 270), BODY))[0] == 202


@pytest.mark.parametrize(
    ("body", "status"), [("{", 400), ("[" * 100_000, 400), ("{}", 422), ('{"data": {"number": "x"}}', 422), ("x" * 300_000, 413)],
    ids=["cut", "deep", "empty", "other type", "large"],
)  # fmt: skip
async def test_a_signed_body_that_is_no_payload_is_refused(host: HostUnderTest, body: str, status: int) -> None:
    assert (await send(host, signed(NEW, body), body))[0] == status


async def test_an_unknown_webhook_is_not_found_whoever_signs(host: HostUnderTest) -> None:
    assert (await send(host, signed(NEW, BODY), BODY, "nobody"))[0] == 404


async def test_a_secret_is_sealed_for_one_webhook_by_the_operator_alone(host: HostUnderTest) -> None:
    sealed = (await host.call("POST", "/api/v1/webhooks/shop/seal", json={"secret": FOREIGN}))["sealed"]
    box = SecretBox([SECRET_KEY])
    assert box.open("webhook", "shop", sealed) == FOREIGN
    with pytest.raises(ShowgroundError):
        box.open("webhook", "other", sealed)
    with pytest.raises(ShowgroundError) as caught:
        await host.call("POST", "/api/v1/webhooks/shop/seal", json={"secret": "whsec_short"})
    assert caught.value.code == "invalid"
    address = f"{host.host.url}/api/v1/webhooks/shop/seal"
    async with aiohttp.ClientSession() as stranger, stranger.post(address, json={"secret": FOREIGN}) as response:
        assert response.status == 401


async def test_a_host_does_not_start_with_a_webhook_that_could_not_work(
    tmp_path: Path, redis_url: str, keys: KeySpace
) -> None:
    webhooks = {
        "a": {"community": "no such place", "event": "Nothing", "secret_variables": ["NOT_SET"]},
        "b": {"community": "playground", "event": "PostCreate"},
    }
    with pytest.raises(ShowgroundError) as caught:
        async with running_host(tmp_path, redis_url, keys.prefix, webhooks=webhooks):
            pass
    assert caught.value.code == "misconfigured"
    assert [p.where for p in caught.value.details] == ["webhooks.a", "webhooks.a", "webhooks.a", "webhooks.b"]
