"""The example plugin within a host of this process: what an author of a plugin runs first."""

import ast
from pathlib import Path

import pytest
from click.testing import CliRunner

from greeter_plugin import GreeterPlugin
from greeter_plugin import plugin as greeter_module
from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.testing.host import running_host

POST = {"post": {"id": "t3_1", "title": "Hi"}, "author": {"name": "Ada"}}
PATH = "/api/v1/communities/playground/apps/welcome"
SEAMS = ("capabilities", "clock", "errors", "hookspecs", "keys", "model", "redis.api", "tasks", "testing", "websocket")


@pytest.fixture
def permanent_keys(permanent_keys: list[str]) -> list[str]:
    """What the plugin declares with `offer.permanent` counts only when it is installed; here it is handed to the host."""
    return [*permanent_keys, "greeter:greeted"]


async def test_an_app_greets_and_the_route_tells_of_it(
    tmp_path: Path, redis_url: str, keys: KeySpace, welcome_app: Path
) -> None:
    plugins = [("greeter", GreeterPlugin())]
    async with running_host(tmp_path / "host", redis_url, keys.prefix, plugins=plugins) as host:
        await host.install(welcome_app)
        answers = [await host.call("POST", f"{PATH}/invoke/PostCreate", json=POST) for _ in range(2)]
        assert answers == ["Hello, Ada! You are number 1.", "Hello, Ada! You are number 2."]
        assert await host.call("GET", f"{PATH}/greeter") == {"greeted": 2, "invocations_here": 2}


async def test_without_a_token_the_route_is_closed(
    tmp_path: Path, redis_url: str, keys: KeySpace, welcome_app: Path
) -> None:
    plugins = [("greeter", GreeterPlugin())]
    async with running_host(tmp_path / "host", redis_url, keys.prefix, plugins=plugins) as host:
        await host.install(welcome_app)
        async with host.client.get(f"{host.host.url}{PATH}/greeter", headers={"Authorization": ""}) as response:
            assert response.status == 401


async def test_the_settings_say_what_is_greeted_with_and_who_may(
    tmp_path: Path, redis_url: str, keys: KeySpace, welcome_app: Path
) -> None:
    plugins = [("greeter", GreeterPlugin())]
    granted = {"greeting": "Welcome", "apps": ["welcome"]}
    async with running_host(tmp_path / "one", redis_url, keys.prefix, plugins=plugins, greeter=granted) as host:
        await host.install(welcome_app)
        answer = await host.call("POST", f"{PATH}/invoke/PostCreate", json=POST)
        assert answer == "Welcome, Ada! You are number 1."
    refused = {"apps": ["another"]}
    async with running_host(tmp_path / "two", redis_url, keys.prefix, plugins=plugins, greeter=refused) as host:
        with pytest.raises(ShowgroundError) as caught:
            await host.host.lifecycle.install("library", "welcome")
        assert caught.value.code == "bundle_invalid"
        assert "[greeter]" in caught.value.details[0].remedy


async def test_an_app_that_did_not_configure_it_is_refused_at_the_call(
    tmp_path: Path, redis_url: str, keys: KeySpace, welcome_app: Path
) -> None:
    main = welcome_app / "main.py"
    main.write_text(main.read_text().replace("greeter=True, ", ""))
    plugins = [("greeter", GreeterPlugin())]
    async with running_host(tmp_path / "host", redis_url, keys.prefix, plugins=plugins) as host:
        await host.install(welcome_app)
        with pytest.raises(ShowgroundError) as caught:
            await host.call("POST", f"{PATH}/invoke/PostCreate", json=POST)
        assert caught.value.code in ("app_error", "not_configured")
        assert "greeter is not enabled" in caught.value.message


async def test_an_installation_that_goes_takes_its_count_along(
    tmp_path: Path, redis_url: str, keys: KeySpace, welcome_app: Path
) -> None:
    plugins = [("greeter", GreeterPlugin())]
    async with running_host(tmp_path / "host", redis_url, keys.prefix, plugins=plugins) as host:
        for _ in range(2):
            await host.install(welcome_app)
            answer = await host.call("POST", f"{PATH}/invoke/PostCreate", json=POST)
            assert answer == "Hello, Ada! You are number 1."
            await host.call("DELETE", PATH)


async def test_a_wrong_section_stops_the_host_and_says_where(tmp_path: Path, redis_url: str, keys: KeySpace) -> None:
    plugins = [("greeter", GreeterPlugin())]
    with pytest.raises(ShowgroundError, match="greeting") as caught:
        async with running_host(tmp_path, redis_url, keys.prefix, plugins=plugins, greeter={"greeting": 1}):
            pass
    assert caught.value.code == "misconfigured"


def test_the_command_asks_the_host_and_prints() -> None:
    class Session:
        def get(self, path: str) -> object:
            assert path == f"{PATH}/greeter"
            return {"greeted": 3}

        def show(self, document: object, text: str) -> None:
            print(text)

    result = CliRunner().invoke(greeter_module.greeter, ["playground", "welcome"], obj=Session())
    assert result.output == "welcome greeted 3 in playground\n"


def test_the_plugin_imports_the_seams_and_nothing_else_of_showground() -> None:
    folder = Path(greeter_module.__file__).parent
    modules = {
        node.module
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("showground")
    }
    assert modules
    assert {m for m in modules if not m.removeprefix("showground.").startswith(SEAMS)} == set()
