"""Pytest fixtures of Showground, for authors of bundles and plugins. Loaded by pytest through its entry point.

* `redis_server`: a real server (`showground.redis.server.ServerProcess`: `.url`, `.socket`, `.password`, `.pid`), one per test
  process (per xdist worker), started when first asked for.
* `redis_cluster`: a real cluster (`showground.testing.cluster.RunningCluster`), likewise.
* `redis_kind`: `"single"`, or what `--redis=cluster` says: which of the two the fixtures below are about. A module or a class
  that defines it again, with parameters perhaps, runs its tests on that.
* `redis`: an open `showground.redis.api.Redis` on it, for one test and its loop.
* `redis_url`: its URL, for hosts and clients that open their own connection.
* `keys`: a `KeySpace` whose prefix is the test's own. When the test is over, the leak guard fails it if a key below the prefix
  has no expiry and is not on the permanent list; then all of its keys are deleted.
* `permanent_keys`: the patterns of that list: the host's, those of every installed plugin, and what a test appends.
* `clock`: a `ManualClock` that moves only by `await clock.advance(seconds)`.
* `playground`: a `showground.testing.playground.Playground` for authors of apps: a real host with the bundle beside the test.
* `playground_settings`: sections of that host's settings; a test module overrides it to have others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from showground.keys import KeySpace
    from showground.redis.api import Redis
    from showground.redis.server import ServerProcess
    from showground.testing.clock import ManualClock
    from showground.testing.cluster import RunningCluster
    from showground.testing.playground import Playground

_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("showground").addoption(
        "--redis", choices=["single", "cluster"], default="single", help="what kind of Redis the tests run on"
    )


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real Redis server, one per test process."""
    from showground.testing.redis import running_server

    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A real cluster of three primaries and their replicas, one per test process."""
    from showground.testing.cluster import running_cluster

    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def redis_kind(pytestconfig: pytest.Config) -> str:
    """`single` or `cluster`."""
    return str(pytestconfig.getoption("redis"))


@pytest.fixture
def deployment(request: pytest.FixtureRequest, redis_kind: str) -> ServerProcess | RunningCluster:
    """What the tests run on; has a `url`."""
    server: ServerProcess | RunningCluster = request.getfixturevalue(
        "redis_cluster" if redis_kind == "cluster" else "redis_server"
    )
    return server


@pytest.fixture
def redis_url(deployment: ServerProcess | RunningCluster) -> str:
    """The deployment's URL with its password."""
    return deployment.url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """An open Redis client on the test's own loop."""
    from showground.redis.deployment import open_redis

    async with open_redis(redis_url, Path()) as client:
        yield client


@pytest.fixture
def permanent_keys() -> list[str]:
    """Patterns of keys that may live without an expiry; a test may append its own."""
    from showground.keys import PERMANENT
    from showground.plugins import Plugins, find_plugins

    return [*PERMANENT, *Plugins(find_plugins()).permanent_keys]


@pytest.fixture
def keys(
    request: pytest.FixtureRequest, deployment: ServerProcess | RunningCluster, permanent_keys: list[str]
) -> Iterator[KeySpace]:
    """A key space of the test's own, with the leak guard."""
    from showground.keys import KeySpace
    from showground.testing.leaks import leaked, remove
    from showground.testing.redis import plain_clients

    prefix = f"t{uuid4().hex[:12]}"
    yield KeySpace(prefix=prefix)
    found: list[str] = []
    with plain_clients(deployment) as clients:
        for client in clients:
            found += leaked(client, prefix, permanent_keys)
            remove(client, prefix)
    if request.node.stash.get(_PASSED, False) and found:
        pytest.fail(f"keys without an expiry that are not on the permanent list: {', '.join(found)}", pytrace=False)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    from showground.testing.clock import ManualClock

    return ManualClock()


@pytest.fixture
def playground_settings() -> dict[str, dict[str, Any]]:
    """Sections of the host's settings for `playground`, as in `showground.toml`."""
    return {}


@pytest.fixture
async def playground(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    redis: Redis,
    redis_url: str,
    keys: KeySpace,
    playground_settings: dict[str, dict[str, Any]],
) -> AsyncIterator[Playground]:
    """A community on a host of the test's own. `await playground.install()` puts the bundle beside the test into it."""
    from showground.testing.playground import bundle_of, running_playground

    async with running_playground(
        tmp_path, redis, redis_url, keys, folder=bundle_of(request.path), settings=playground_settings
    ) as running:
        yield running
