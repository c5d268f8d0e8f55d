"""A whole host for tests: the real thing on a real Redis, at a free port, gone when the test is over."""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import aiohttp

from showground.capabilities import COMMUNITY
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.host import Host
from showground.keys import InstallationId, installation_id
from showground.settings import load_settings


@runtime_checkable
class SubmitsPosts(Protocol):
    """A community in which tests may make posts; the built-in one is."""

    async def submit_live_post(self, community: str, installation: InstallationId, title: str, data: bytes) -> str: ...


class Person(Protocol):
    @property
    def id(self) -> str: ...


@runtime_checkable
class Neighbourly(SubmitsPosts, Protocol):
    """A community that tests may also people; the built-in one is."""

    async def join(self, name: str) -> Person: ...

    async def appoint(self, community: str, user_id: str) -> None: ...


class HostUnderTest:
    """A running host and a client that holds its root token."""

    def __init__(self, host: Host, client: aiohttp.ClientSession) -> None:
        self.host = host
        self.client = client

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """One request; the decoded JSON of a good answer. An error answer is raised as `ShowgroundError`."""
        async with self.client.request(method, self.host.url + path, **more) as response:
            body = await response.json(content_type=None)
            if response.status >= 400:
                raise ShowgroundError.from_json(body)
            return body

    async def install(self, folder: Path, community: str = "playground") -> str:
        """Upload and install a bundle; returns the app's name."""
        version = await self.host.bundles.put(folder)
        await self.host.lifecycle.install(community, version.app, version.version)
        return version.app

    async def submit_post(self, app: str, community: str = "playground", data: bytes = b"null") -> str:
        """An interactive post of an installed app, as if the app had submitted it; returns its id."""
        forum = self.host.plugins.provider(COMMUNITY)
        assert isinstance(forum, SubmitsPosts), "the community of this host takes no posts"
        installation = installation_id(app, community)
        return await forum.submit_live_post(community, installation, app, data)

    async def emit(self, type: str, data: Any, community: str = "playground", wait_s: float = 10, **more: Any) -> Any:
        """Send one event, with an id of its own unless one is given, and wait for its outcomes."""
        event = {"specversion": "1.0", "id": more.pop("id", None) or uuid.uuid4().hex, "source": "test", "type": type,
                 "subject": community, "data": data, **more}  # fmt: skip
        headers = {"Content-Type": "application/cloudevents+json"}
        return await self.call("POST", f"/api/v1/events?wait={wait_s:g}", json=event, headers=headers)


TICKET_KEY = b"only for tests: signs what a site says about its members"
SECRET_KEY = base64.urlsafe_b64encode(b"only for tests, shared by hosts!").decode()


def _share_secret_key(data_dir: Path) -> None:
    """Hosts of one deployment need one key; an operator copies it, and so do tests."""
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / "secret.key").write_text(SECRET_KEY)


@contextmanager
def _own_logging() -> Iterator[None]:
    """A host configures the logging of its process; a test that comes after it gets back what it had."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in [h for h in root.handlers if h not in handlers]:
            root.removeHandler(handler)


@asynccontextmanager
async def running_host(
    data_dir: Path,
    redis_url: str,
    prefix: str,
    *,
    plugins: Sequence[tuple[str, object]] = (),
    clock: Clock | None = None,
    **sections: Mapping[str, Any],
) -> AsyncIterator[HostUnderTest]:
    """Start a host with the given sections of settings over the test's own."""
    flags: dict[str, dict[str, Any]] = {
        "host": {"data_dir": str(data_dir), "port": 0, "drain_s": 2.0},
        "redis": {"url": redis_url, "prefix": prefix},
        "workers": {"isolation": "process", "spawn_s": 30.0},
        "logs": {"level": "warning"},
        "tickets": {"keys": {"test": base64.b64encode(TICKET_KEY).decode()}},
    }
    for name, section in sections.items():
        flags.setdefault(name, {}).update(section)
    _share_secret_key(data_dir)
    with _own_logging():
        async with _entered(flags, clock, plugins) as host:
            yield host


@asynccontextmanager
async def _entered(
    flags: dict[str, dict[str, Any]], clock: Clock | None, plugins: Sequence[tuple[str, object]]
) -> AsyncIterator[HostUnderTest]:
    async with Host(load_settings(environ={}, flags=flags), clock, plugins) as host:
        headers = {"Authorization": f"Bearer {host.root_token}"}
        async with aiohttp.ClientSession(headers=headers) as client:
            yield HostUnderTest(host, client)
