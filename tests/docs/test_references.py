"""What the docs list is what there is: hooks, protocols, routes, settings, commands, links, events of the community."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from showground import capabilities, hookspecs
from showground.context import reddit
from showground.keys import CapabilityKey, KeySpace
from showground.testing.host import running_host
from showground.web.server import WebServer
from showground_community import api, forum

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PLUGIN_GUIDE = (DOCS / "plugin-guide.md").read_text("utf-8")


def signature(hook: Callable[..., object]) -> str:
    names = [name for name in inspect.signature(hook).parameters if name != "self"]
    return f"{hook.__name__}({', '.join(names)})"


@pytest.mark.parametrize("family", [hookspecs.HostHooks, hookspecs.BundleHooks])
def test_the_plugin_guide_has_every_hook_with_its_arguments(family: type) -> None:
    hooks = [signature(hook) for name, hook in vars(family).items() if not name.startswith("_")]
    assert [hook for hook in hooks if f"`{hook}`" not in PLUGIN_GUIDE] == []


def test_the_plugin_guide_has_every_capability_its_protocol_and_its_parts() -> None:
    keys = [name for name, value in vars(capabilities).items() if isinstance(value, CapabilityKey)]
    own = [
        name
        for name, value in vars(capabilities).items()
        if inspect.isclass(value) and value.__module__ == capabilities.__name__ and not name.startswith("_")
    ]
    assert [name for name in (*keys, *own) if f"`{name}`" not in PLUGIN_GUIDE] == []


@pytest.mark.parametrize("tool", ["cli_reference.py", "settings_reference.py"])
def test_what_is_made_from_the_code_is_up_to_date(tool: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / tool, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_the_http_page_has_every_route_of_a_host_with_its_scope(
    tmp_path: Path, redis_url: str, keys: KeySpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: dict[str, str] = {}
    start = WebServer.start

    async def record(self: WebServer, listen: str, port: int, drain_s: float) -> int:
        served.update({f"{method} {path}": scope or "open" for method, path, scope in self.routes})
        return await start(self, listen, port, drain_s)

    monkeypatch.setattr(WebServer, "start", record)
    async with running_host(tmp_path, redis_url, keys.prefix):
        pass
    served["POST /api/v1/events"] = "emit"  # asked of the token by the handler, for each event's community
    page = (DOCS / "http-api.md").read_text("utf-8")
    assert dict(re.findall(r"^\| `([A-Z]+ [^`]+)` \| (\w+) \|", page, re.M)) == served


async def test_the_operations_page_has_every_metric(tmp_path: Path, redis_url: str, keys: KeySpace) -> None:
    async with (
        running_host(tmp_path, redis_url, keys.prefix) as host,
        host.client.get(f"{host.host.url}/metrics") as response,
    ):
        families = re.findall(r"^# TYPE (showground_\w+) (\w+)", await response.text(), re.M)
    page = (DOCS / "operations.md").read_text("utf-8")
    assert len(families) > 10
    created = {name for name, _ in families if name.endswith("_created")}  # of the exposition, not ours
    assert {name for name, _ in families if f"`{name}`" not in page} - created == set()


def test_every_relative_link_leads_somewhere() -> None:
    broken = [
        f"{page.name}: {link}"
        for page in [*DOCS.glob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("examples/*/README.md")]
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
        if not link.startswith(("http:", "https:", "mailto:")) and not leads_somewhere(page, link)
    ]
    assert broken == []


def leads_somewhere(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (page.parent / file) if file else page
    if not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in set(anchors(target))


def anchors(page: Path) -> Iterator[str]:
    """As GitHub makes them of headings."""
    for heading in re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M):
        yield re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def test_the_commands_that_the_docs_show_exist() -> None:
    import click

    from showground.cli import showground as group

    context = click.Context(group)
    known = set(group.list_commands(context))
    shown = {
        (page.name, command)
        for page in [*DOCS.glob("*.md"), ROOT / "README.md"]
        for command in re.findall(r"^(?:\./run shell )?showground ([a-z-]+)", page.read_text("utf-8"), re.M)
    }
    assert shown
    assert {(page, command) for page, command in shown if command not in known} == set()


def test_the_tasks_that_the_readme_shows_are_those_of_run() -> None:
    tasks = set(re.findall(r"^(\w+)\)$", (ROOT / "run").read_text("utf-8"), re.M))
    shown = set(re.findall(r"\./run (\w+)", (ROOT / "README.md").read_text("utf-8")))
    assert shown
    assert shown <= tasks


def test_the_community_page_has_every_method_and_every_event() -> None:
    page = (DOCS / "community.md").read_text("utf-8")
    methods = {
        name
        for kind in (reddit.RedditClient, reddit.Post, reddit.Comment, *reddit.Post.__mro__[1:2])
        for name, member in vars(kind).items()
        if inspect.iscoroutinefunction(member)
    }
    events = set(re.findall(r'"((?:Post|Comment|Mod)[A-Z]\w+)"', inspect.getsource(forum)))
    assert {name for name in methods if f"`{name}(" not in page} == set()
    assert {name for name in events if f"`{name}`" not in page} == set()


def test_the_page_about_own_forums_has_every_method_that_the_client_calls() -> None:
    page = (DOCS / "own-forum.md").read_text("utf-8")
    called = {
        str(node.args[1].value)
        for node in ast.walk(ast.parse(inspect.getsource(reddit)))
        if isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "_call"
    }
    offered = set(re.findall(r'^            "(\w+)": self\.', inspect.getsource(api.RedditApi), re.M))
    assert called == offered
    assert {name for name in called if f"`{name}`" not in page} == set()
    protocol = [name for name in vars(capabilities.Community) if not name.startswith("_")]
    assert [name for name in protocol if f"`{name}(" not in page] == []
