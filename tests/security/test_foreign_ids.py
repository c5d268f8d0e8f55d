"""Ids of others in every capability call that there is: nothing of theirs is read, changed or told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import redis

from showground.capabilities import COMMUNITY
from showground.errors import ShowgroundError
from showground.hookspecs import Method
from showground.keys import InstallationId, KeySpace, split_installation
from showground.model import AppVersion, Invocation
from showground.redis.server import ServerProcess
from showground.supervisor.broker import Session
from showground.testing.bundles import write_bundle
from showground.testing.host import HostUnderTest, running_host
from showground.testing.redis import plain_client
from showground_redis_kv.commands import COMMANDS

CANARY = "c4n4ry-of-the-victim"
APP = """
from showground import Devvit

Devvit.configure(redis=True, realtime=True, reddit=True, http={"domains": ["api.example"]})
Devvit.add_settings([{"type": "string", "name": "token", "label": "Token", "scope": "installation"}])

@Devvit.add_scheduler_job("work")
async def work(event, context): ...

@Devvit.add_custom_post_type("Post")
def post(context):
    from showground.blocks import blocks
    return blocks()
"""
Call = Callable[..., Any]


FORMS = (
    "{p}:{{{i}}}:kv:treasure",
    "{{{i}}}:kv:treasure",
    "{i}:treasure",
    "{i}:kv:treasure",
    "../{i}/kv/treasure",
    "}}:{p}:{{{i}}}:kv:treasure",
    "\0{p}:{{{i}}}:kv:treasure",
    "*{i}*",
)
"""Ways to write a key of installation i in a deployment with prefix p."""
FORBIDDEN = [
    "EVAL",
    "EVALSHA",
    "FCALL",
    "RENAME",
    "COPY",
    "MOVE",
    "MIGRATE",
    "DUMP",
    "RESTORE",
    "SORT",
    "OBJECT",
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG",
    "CLIENT",
    "ACL",
    "DEBUG",
    "SELECT",
    "SUBSCRIBE",
    "MONITOR",
    "AUTH",
    "HELLO",
    "RESET",
    "SWAPDB",
    "SCRIPT",
    "MODULE",
    "WAIT",
    "SHUTDOWN",
    "CLUSTER",
    "RANDOMKEY",
    "INFO",
    "KEYS",
    "MULTI",
    "EXEC",
    "PUBLISH",
    "SPUBLISH",
]


class Foreign:
    """What belongs to the victim, by every name under which a thief might ask for it."""

    installation = InstallationId("victim:playground")
    elsewhere = InstallationId("thief:elsewhere")
    """The thief's own app in a community where the thief was not called."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.jobs: list[str] = []
        self.posts: list[str] = []
        self.comments: list[str] = []
        self.users: list[str] = []
        self.transactions: list[int] = []

    @property
    def keys(self) -> list[str]:
        return [form.format(p=self.prefix, i=owner) for owner in (self.installation, self.elsewhere) for form in FORMS]

    @property
    def channels(self) -> list[str]:
        return [f"{owner}:news" for owner in (self.installation, self.elsewhere)] + [
            "victim:playground:news:news", ":playground:news", "news\0", "../victim:playground:news", "{victim:playground}:news",
        ]  # fmt: skip

    @property
    def things(self) -> list[str]:
        wrong = [f"t1_{post.removeprefix('t3_')}_x" for post in self.posts]
        mixed = [c.replace("t1_", "t3_") for c in self.comments]
        return [*self.posts, *self.comments, *wrong, *mixed, "t3_", "t1__", "t3_*", f"t3_x}}:{{~{self.posts[0]}"]


Attempts = Callable[[Foreign], Iterator[Sequence[object]]]


def each(names: Callable[[Foreign], Sequence[object]], *more: object) -> Attempts:
    return lambda foreign: ((name, *more) for name in names(foreign))


def jobs(foreign: Foreign) -> Sequence[object]:
    return [
        *foreign.jobs,
        *(f"{foreign.installation}:{job}" for job in foreign.jobs),
        *(f"{j}@1" for j in foreign.jobs),
    ]


def things(foreign: Foreign) -> Sequence[object]:
    return foreign.things


def commands(foreign: Foreign) -> Iterator[Sequence[object]]:
    for key in foreign.keys:
        for shared in (False, True, "victim:playground", ["victim:playground"], "victim:*"):
            yield [["GET", key], ["SET", key, "stolen"], ["DEL", key], ["KEYS", "*"], ["SCAN", 0, "MATCH", "*"]], shared
            yield [["SCAN", 0, "MATCH", f"*{key}*"], ["SCAN", 0, "MATCH", "\\*", "COUNT", 10**6]], shared
        for name in (*COMMANDS, *FORBIDDEN):
            for words in (
                [name, key],
                [name, key, key],
                [name, "0", key],
                [name, key, key, key],
                [name, "1", key, key, key],
            ):
                yield ([words],)


def single(foreign: Foreign) -> Iterator[Sequence[object]]:
    for several, *shared in commands(foreign):
        assert isinstance(several, list)
        for words in several:
            yield words, *shared


TABLE: Mapping[str, Attempts] = {
    "redis.command": single,
    "redis.execute": commands,
    "redis.transaction_open": lambda f: (([key], shared) for key in f.keys for shared in (False, True, "victim:*")),
    "redis.transaction_execute": lambda f: ((n, ["GET", key]) for n in f.transactions for key in f.keys),
    "redis.transaction_exec": each(lambda f: f.transactions),
    "redis.transaction_close": each(lambda f: f.transactions),
    "realtime.send": each(lambda f: f.channels, b'"stolen"'),
    "scheduler.run_job": lambda f: (
        ({"name": name, "cron": "0 0 1 1 *", "key": key, **more},)
        for name in ("work", "victim:playground:work")
        for key in ("own", *f.jobs)
        for more in ({}, {"installation": f.installation}, {"id": f.jobs[0]}, {"static": True})
    ),
    "scheduler.cancel_job": each(jobs),
    "scheduler.list_jobs": lambda f: iter([(), (f.installation,)]),
    "scheduler.pause": each(jobs),
    "scheduler.resume": each(jobs),
    "scheduler.run_now": each(jobs),
    "scheduler.history": each(jobs),
    "reddit.current_user": lambda f: iter([(), (f.users[0],)]),
    "reddit.user_by_id": each(lambda f: f.users),
    "reddit.user_by_name": each(lambda f: ["victim", "*", "ada"]),
    "reddit.subreddit": lambda f: iter([(), ("elsewhere",)]),
    "reddit.moderators": lambda f: iter([(), ("elsewhere",)]),
    "reddit.submit_post": lambda f: (
        ("stolen", {"text": "x", "run_as": run_as, **more})
        for run_as in ("user", f.users[0], "victim")
        for more in ({}, {"community": "elsewhere"}, {"installation": f.installation, "post_data": b"{}"})
    ),
    "reddit.post": each(things),
    "reddit.posts": lambda f: iter([(), (10**9,), (-1,), (25, 0), ("elsewhere",), (25, "elsewhere")]),
    "reddit.edit_post": each(things, "stolen"),
    "reddit.submit_comment": lambda f: ((thing, "stolen", who) for thing in f.things for who in ("app", "user", f.users[0])),
    "reddit.comment": each(things),
    "reddit.comments": each(things),
    "reddit.edit_comment": each(things, "stolen"),
    "reddit.delete": each(things),
    "reddit.moderate": lambda f: ((t, a) for t in f.things for a in ("approve", "remove", "spam", "lock", "sticky")),
    "reddit.mark": lambda f: ((t, mark, True) for t in f.things for mark in ("nsfw", "spoiler", "removed", "deleted")),
    "reddit.report": each(things, "because"),
    "reddit.set_post_flair": each(things, {"text": "stolen"}),
    "reddit.set_user_flair": lambda f: ((user, {"text": "x"}) for user in ("t2_none", *f.things)),
    "reddit.user_flair": each(lambda f: f.users),
    "settings.get": each(lambda f: ["token", "victim:playground:token", f"{f.installation}/token", "../token", "*"]),
    "settings.get_all": lambda f: iter([(), (f.installation,)]),
    "http.fetch": lambda f: (
        (url,) for url in ("http://127.0.0.1/", "https://127.0.0.1:8787/api/v1/tokens", "https://victim.example/",
                           "https://api.example@127.0.0.1/", "file:///etc/passwd", "https://api.example:22/")
    ),
}  # fmt: skip
"""Every method of every member that the built-in plugins give, with the arguments that reach for what is another's. A method
without a line fails the test below."""


def session(host: HostUnderTest, installation: InstallationId) -> tuple[Session, Invocation, AppVersion]:
    app, community = split_installation(installation)
    found = host.host._code.dispatch.installation(installation)
    invocation = Invocation(
        id=f"of {installation}", installation=installation, app=app, app_version="1.0.0", community=community,
        kind="trigger", name="PostCreate", timeout_s=10,
    )  # fmt: skip
    return (
        Session(host.host.plugins, lambda _: None, invocation, found.version),
        invocation,
        found.version,
    )


async def plant(host: HostUnderTest, foreign: Foreign) -> None:
    """Give the victim, and the thief's own app elsewhere, something of everything."""
    forum: Any = host.host.plugins.provider(COMMUNITY)
    for installation in (foreign.installation, foreign.elsewhere):
        own, _, _ = session(host, installation)
        await own.call("redis", "execute", [[["SET", "treasure", CANARY]]])
        await own.call("redis", "execute", [[["SET", "treasure", CANARY]], True])
        await own.call("realtime", "send", ["news", msgspec.json.encode(CANARY)])
        job = {"name": "work", "cron": "0 0 1 1 *", "key": "own", "data": {"secret": CANARY}}
        foreign.jobs.append(str(await own.call("scheduler", "run_job", [job])))
        number = await own.call("redis", "transaction_open", [["treasure"]])
        assert isinstance(number, int)
        foreign.transactions.append(number)
        _, community = split_installation(installation)
        path = f"/api/v1/communities/{community}/apps/{installation.partition(':')[0]}/settings"
        await host.call("PUT", path, json={"token": CANARY})
    ada = await forum.join("Ada")
    foreign.users.append(ada.id)
    post = await forum.submit_post("elsewhere", ada.id, CANARY, CANARY)
    foreign.posts.append(post.id)
    foreign.comments.append((await forum.submit_comment(post.id, ada.id, CANARY)).id)
    live = await forum.submit_live_post("elsewhere", foreign.elsewhere, CANARY, msgspec.json.encode(CANARY))
    foreign.posts.append(live)
    there, _, _ = session(host, foreign.elsewhere)
    await there.call("reddit", "set_user_flair", [ada.id, {"text": CANARY}])
    foreign.posts.append("t3_none")


class Held(NamedTuple):
    """What one key holds, and the server's millisecond at which it ends by itself (-1: never)."""

    data: bytes
    ends_ms: int


def belongings(client: redis.Redis, foreign: Foreign) -> dict[bytes, Held]:
    """All that Redis holds of the victim, the thief's app elsewhere, and the other community."""
    tags = [foreign.installation, foreign.elsewhere, "~elsewhere", *(f"~{post}" for post in foreign.posts), "victim:*"]
    found: dict[bytes, Held] = {}
    for tag in tags:
        for key in client.scan_iter(match=f"{foreign.prefix}:{{{tag.replace('*', chr(92) + '*')}}}:*", count=1000):
            if b"}:deliveries" not in key:  # theirs to change by themselves
                with client.pipeline() as together:
                    together.dump(key)
                    together.pexpiretime(key)
                    data, ends_ms = together.execute()
                if data is not None:
                    found[key] = Held(data, ends_ms)
    return found


def changed(client: redis.Redis, foreign: Foreign, before: Mapping[bytes, Held]) -> set[bytes]:
    """The keys that are not as they were, but for those that have ended at the time that was set for them before."""
    after = belongings(client, foreign)
    seconds, microseconds = client.time()
    now_ms = seconds * 1000 + microseconds // 1000
    ended = {key for key, held in before.items() if key not in after and 0 <= held.ends_ms <= now_ms}
    return {key for key in {*before, *after} - ended if before.get(key) != after.get(key)}


def methods_of(host: HostUnderTest) -> set[str]:
    found: set[str] = set()
    _, invocation, app = session(host, InstallationId("thief:playground"))

    def extend(member: str, methods: Mapping[str, Method], needs: str | None = None) -> None:
        found.update(f"{member}.{method}" for method in methods)

    host.host.plugins.context(invocation, app, extend)
    return found


async def test_nothing_of_anothers_is_reached_by_its_id(
    tmp_path: Path, redis_url: str, keys: KeySpace, redis_server: ServerProcess
) -> None:
    for app in ("thief", "victim"):
        write_bundle(tmp_path / app, APP, permissions={"http": {"domains": ["api.example"]}})
    async with running_host(tmp_path / "data", redis_url, keys.prefix) as host:
        await host.install(tmp_path / "victim")
        await host.install(tmp_path / "thief")
        await host.install(tmp_path / "thief", "elsewhere")
        foreign = Foreign(keys.prefix)
        await plant(host, foreign)
        assert methods_of(host) == set(TABLE), (
            "a method of the context without a line in the table, or the other way round"
        )

        refused = nothing = 0
        with plain_client(redis_server) as client:
            before = belongings(client, foreign)
            assert len(before) >= 8
            for name, attempts in TABLE.items():
                member, _, method = name.partition(".")
                own, _, _ = session(host, InstallationId("thief:playground"))
                for arguments in attempts(foreign):
                    try:
                        told = repr(await own.call(member, method, list(arguments)))
                        nothing += 1
                    except ShowgroundError as error:
                        told = f"{error.code} {error}"
                        refused += 1
                    assert CANARY not in told, (name, arguments)
                assert not changed(client, foreign, before), f"{name} changed what is another's"
        assert refused + nothing > 2000
