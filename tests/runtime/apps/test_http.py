"""The whole way of an operator: commands over HTTP to routes, with real tokens, real workers and a real Redis."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click
import pytest
from click.testing import CliRunner, Result

from showground.apps.assets import Assets
from showground.apps.bundles import BundleStore
from showground.apps.folders import Folders
from showground.apps.installations import Installations
from showground.apps.journal import Journal
from showground.apps.lifecycle import Lifecycle
from showground.apps.plugin import AppsPlugin
from showground.apps.routes import AppRoutes
from showground.apps.secrets import SecretBox, new_key
from showground.apps.settings import AppSettings
from showground.cli import apps as app_commands
from showground.cli import logs as log_commands
from showground.cli import settings as settings_commands
from showground.cli import tokens as token_commands
from showground.cli.session import HttpSession
from showground.clock import SystemClock
from showground.dispatch import Dispatch, InvokeRequest
from showground.keys import InstallationId, KeySpace
from showground.model import Installation, Json
from showground.ops.health import Health
from showground.ops.logs import AppLogs, LogFilter
from showground.ops.metrics import Metrics
from showground.ops.redaction import Redactor
from showground.ops.routes import OpsRoutes
from showground.ops.tokens import Tokens
from showground.plugins import Plugins
from showground.redis.api import Redis
from showground.supervisor import Broker, LogRecord, Supervisor
from showground.testing.bundles import write_bundle
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually
from showground.web.origins import Origins
from showground.web.server import WebServer

MAIN = """
from showground import Devvit

def validate_region(event, context):
    if event["value"] != "eu":
        return "only eu is open"

Devvit.add_settings([
    {"type": "boolean", "name": "loud", "label": "Loud"},
    {"type": "number", "name": "size", "label": "Size", "default_value": 3},
    {"type": "string", "name": "api-key", "label": "Key", "scope": "app", "is_secret": True},
    {"type": "string", "name": "region", "label": "Region", "scope": "app", "on_validate": validate_region},
])

@Devvit.add_trigger("PostCreate")
async def on_post(event, context):
    values = await context.settings.get_all()
    print("the key is", values["api-key"])
    return values
"""


def _bundle(folder: Path, version: str) -> Path:
    write_bundle(folder, MAIN, name="counter", version=version)
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "hello.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return folder


@dataclass
class Served:
    url: str
    token: str
    tokens: Tokens
    logs: AppLogs
    health: Health
    web: WebServer
    installations: Installations
    emitted: list[str]
    dispatch: Dispatch

    def session(self, as_json: bool = False, token: str | None = None) -> HttpSession:
        return HttpSession(self.url, token or self.token, Path("nowhere"), as_json)

    async def run(self, command: click.Command, *words: str, as_json: bool = False, input: str | None = None) -> Result:
        """One command, in a thread, as the process of its own that it would be."""
        session = self.session(as_json)
        return await asyncio.to_thread(
            lambda: CliRunner().invoke(command, list(words), obj=session, input=input, catch_exceptions=False)
        )

    async def api(self, method: str, path: str, *, token: str | None = None, **more: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, self.url + path, headers=headers, **more) as answer,
        ):
            body = await answer.read()
            return answer.status, json.loads(body) if body else None


@pytest.fixture
async def served(redis: Redis, keys: KeySpace, tmp_path: Path) -> AsyncIterator[Served]:
    clock, redactor, metrics = SystemClock(), Redactor(), Metrics()
    emitted: list[str] = []

    async def emit_to(
        installation: Installation, type: str, data: Mapping[str, Json], *, event_id: str, wait_s: float = 0.0
    ) -> None:
        emitted.append(type)

    async def clear(installation: InstallationId) -> None:
        pass

    async def validate(installation: Installation, name: str, value: Json) -> str | None:
        return await dispatch.validate(installation, name, value)

    async with AsyncExitStack() as exits:
        installations = await exits.enter_async_context(Installations(redis, keys, clock, poll_s=0.05))
        logs = await exits.enter_async_context(AppLogs(redis, keys, clock, redactor))
        health = await exits.enter_async_context(Health(redis, ManualClock()))  # no matter how slow this machine is
        box = SecretBox([new_key()])
        settings = AppSettings(redis, keys, box, redactor, validate)
        plugins = Plugins([("metrics", metrics), ("apps", AppsPlugin(installations, settings, logs))])
        supervisor = await exits.enter_async_context(Supervisor(Broker(plugins), clock, logs.write))
        bundles = BundleStore(
            redis, keys, clock, Folders(tmp_path / "bundles"), check=supervisor.check, veto=plugins.registered
        )
        dispatch = Dispatch(installations, bundles, supervisor, clock, plugins.observe)
        lifecycle = Lifecycle(
            installations,
            Journal(redis, keys),
            bundles,
            clock,
            hooks=plugins,
            emit_to=emit_to,
            clear_deliveries=clear,
            veto=plugins.registered,
        )
        tokens = Tokens(redis, keys, clock)
        web = WebServer(tokens.check, Origins((), ""), lambda: health.draining)
        OpsRoutes(health, metrics, logs, tokens, clock, lambda key: installations.get(key) is not None).register(web)
        AppRoutes(bundles, installations, lifecycle, settings, box).register(web)
        Assets(bundles.folder).register(web)
        port = await web.start("127.0.0.1", 0, 1.0)
        exits.push_async_callback(web.stop)
        exits.push_async_callback(web.drain, 1.0)
        token = await tokens.ensure_root_token()
        yield Served(f"http://127.0.0.1:{port}", token, tokens, logs, health, web, installations, emitted, dispatch)


async def _installed(served: Served, tmp_path: Path, versions: Sequence[str] = ("1.0.0",)) -> None:
    for version in versions:
        folder = _bundle(tmp_path / version, version)
        assert (await served.run(app_commands.upload, str(folder))).exit_code == 0
        assert (await served.run(app_commands.install, "playground", f"counter@{version}")).exit_code == 0


async def test_an_app_is_uploaded_installed_upgraded_rolled_back_and_removed_by_commands(
    served: Served, tmp_path: Path
) -> None:
    await _installed(served, tmp_path, ("1.0.0", "1.1.0"))
    listed = await served.run(app_commands.list_)
    assert listed.output == "counter  1.0.0, 1.1.0  installed in playground\n"
    back = await served.run(app_commands.rollback, "playground", "counter", as_json=True)
    assert json.loads(back.output)["version"] == "1.0.0"
    assert (await served.run(app_commands.list_, "playground")).output == "counter 1.0.0\n"
    status, refused = await served.api("DELETE", "/api/v1/apps/counter/versions/1.0.0")
    assert (status, refused["error"]["code"]) == (409, "conflict")
    assert (await served.api("DELETE", "/api/v1/apps/counter/versions/1.1.0"))[0] == 200
    assert (await served.run(app_commands.uninstall, "playground", "counter")).exit_code == 0
    assert (await served.api("GET", "/api/v1/communities"))[1] == {"communities": []}
    assert served.emitted == ["AppInstall", "AppUpgrade", "AppUpgrade", "AppUninstall"]


async def test_an_upload_is_refused_with_every_fault_or_for_its_size(served: Served) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("app.json", '{"name": "Not A Name", "nonsense": 1}')
    status, refused = await served.api("POST", "/api/v1/apps", data=target.getvalue())
    assert status == 422
    assert len(refused["error"]["details"]) == 3
    status, refused = await served.api("POST", "/api/v1/apps", data=b"")
    assert (status, refused["error"]["code"]) == (422, "invalid")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(51):
            yield bytes(1024 * 1024)

    try:
        status, refused = await served.api("POST", "/api/v1/apps", data=endless())
        assert (status, refused["error"]["code"]) == (413, "too_large")
    except aiohttp.ClientConnectionError:
        pass  # the host hung up on the rest, as it may
    assert (await served.api("GET", "/api/v1/apps"))[1] == {"apps": []}


async def test_settings_are_set_by_type_and_checked_by_the_apps_own_code(served: Served, tmp_path: Path) -> None:
    await _installed(served, tmp_path)
    settings = settings_commands.settings
    one = ("--community", "playground")
    assert (await served.run(settings, "set", "counter", "loud", "false", *one)).exit_code == 0
    assert (await served.run(settings, "set", "counter", "loud", "no", *one)).exit_code == 2
    listed = await served.run(settings, "list", "counter", *one)
    assert listed.output.splitlines() == ["loud = false  (boolean) Loud", "size = 3 (default)  (number) Size"]
    assert (await served.run(settings, "set", "counter", "api-key", input="hunter2-hunter2\n")).exit_code == 0
    shared = await served.run(settings, "list", "counter")
    assert "api-key = [set]" in shared.output
    assert "hunter2" not in shared.output
    status, refused = await served.api("PUT", "/api/v1/apps/counter/settings", json={"region": "us"})
    assert status == 422
    assert refused["error"]["details"][0]["message"] == "only eu is open"
    assert (await served.run(settings, "set", "counter", "region", "eu")).exit_code == 0
    assert (await served.run(settings, "rotate-key")).output == "secrets encrypted anew: 1\n"


async def test_an_app_reads_its_settings_and_can_not_print_its_secret(served: Served, tmp_path: Path) -> None:
    await _installed(served, tmp_path)
    await served.api("PUT", "/api/v1/apps/counter/settings", json={"api-key": "hunter2-hunter2"})
    await served.api("PUT", "/api/v1/communities/playground/apps/counter/settings", json={"loud": False})
    place = InstallationId("counter:playground")
    request = InvokeRequest(
        installation=place, kind="trigger", name="PostCreate", payload=b'{"type": "PostCreate"}', timeout_s=10
    )
    assert json.loads(await served.dispatch.invoke(request)) == {
        "loud": False,
        "size": 3,
        "api-key": "hunter2-hunter2",
        "region": None,
    }
    await eventually(lambda: _printed(served, place))
    assert [line.text for line in await served.logs.read(place, LogFilter())] == ["the key is [redacted]"]


async def _printed(served: Served, place: InstallationId) -> bool:
    await served.logs.flush()
    return bool(await served.logs.read(place, LogFilter()))


async def test_a_token_made_by_a_command_does_what_it_says_and_no_more(served: Served, tmp_path: Path) -> None:
    await _installed(served, tmp_path)
    made = await served.run(
        token_commands.token, "create", "ci", "--scope", "read", "--community", "playground", "--expires", "90d"
    )
    secret = made.output.strip()
    here, all_ = "/api/v1/communities/playground/apps", "/api/v1/apps"
    assert (await served.api("GET", here, token=secret))[0] == 200
    assert (await served.api("GET", all_, token=secret))[0] == 403
    assert (await served.api("DELETE", here + "/counter", token=secret))[0] == 403
    assert (await served.api("GET", "/api/v1/tokens", token=secret))[0] == 403
    listed = await served.run(token_commands.token, "list", as_json=True)
    (known,) = [t for t in json.loads(listed.output)["tokens"] if t["name"] == "ci"]
    assert secret not in listed.output
    assert (await served.run(token_commands.token, "revoke", known["id"])).exit_code == 0
    status, refused = await served.api("GET", here, token=secret)
    assert (status, refused["error"]["code"]) == (401, "unauthorized")


async def test_logs_are_followed_until_the_host_drains(served: Served, tmp_path: Path) -> None:
    await _installed(served, tmp_path)

    def line(text: str, level: str = "info") -> LogRecord:
        now = SystemClock().now_ms()
        place = InstallationId("counter:playground")
        return LogRecord(now, "counter", "1.0.0", place, "i1", level, "stdout", text)

    served.logs.write(line("first"))
    await served.logs.flush()
    once = await served.run(log_commands.logs, "playground", "counter", "--since", "15m", as_json=True)
    assert [json.loads(found)["text"] for found in once.output.splitlines()] == ["first"]

    seen: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def follow() -> None:
        path = "/api/v1/communities/playground/apps/counter/logs"
        for found in served.session().lines(path, follow=1, level="warning"):
            if found:
                loop.call_soon_threadsafe(seen.put_nowait, json.loads(found)["text"])

    following = asyncio.ensure_future(asyncio.to_thread(follow))
    served.logs.write(line("quiet"))
    served.logs.write(line("loud", "error"))
    async with asyncio.timeout(10):
        assert await seen.get() == "loud"
        await served.web.drain(1.0)
        await following
    assert (await served.api("GET", "/api/v1/communities/elsewhere/apps/counter/logs"))[0] == 404


async def test_assets_are_served_for_ever_from_their_folder_only(served: Served, tmp_path: Path) -> None:
    await _installed(served, tmp_path)
    found = served.installations.get(InstallationId("counter:playground"))
    assert found is not None
    base = f"{served.url}/assets/{found.version.digest}"
    async with aiohttp.ClientSession() as client:
        async with client.get(base + "/hello.svg") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "image/svg+xml"
            assert "immutable" in answer.headers["Cache-Control"]
            assert "sandbox" in answer.headers["Content-Security-Policy"]
        for path in ("/../main.py", "/%2e%2e/main.py", "/..%2fapp.json", "/", "/none.svg", "/."):
            async with client.get(base + path) as answer:
                assert answer.status == 404, path
        async with client.get(f"{served.url}/assets/{'0' * 64}/hello.svg") as answer:
            assert answer.status == 404


async def test_health_is_open_and_metrics_need_a_token(served: Served) -> None:
    served.health.fact("isolation", "process")
    assert await served.api("GET", "/healthz", token="none") == (200, {"status": "alive"})
    status, ready = await served.api("GET", "/readyz", token="none")
    assert (status, ready["ready"], ready["facts"]) == (200, True, {"isolation": "process"})
    async with aiohttp.ClientSession() as client:
        async with client.get(served.url + "/metrics") as answer:
            assert answer.status == 401
        async with client.get(served.url + "/metrics", headers={"Authorization": f"Bearer {served.token}"}) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert "showground_build_info" in await answer.text()
    served.health.drain()
    status, ready = await served.api("GET", "/readyz", token="none")
    assert (status, ready["ready"]) == (503, False)
    assert [c["name"] for c in ready["checks"] if not c["ok"]] == ["draining"]
