"""Pages outlive hosts: one whose script is of another version is served, or told what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from showground.keys import KeySpace
from showground.testing.host import running_host
from showground.testing.viewer import NotSeen, Viewer
from showground.views import live

TALLY = Path(__file__).parent / "tally"


async def refused(url: str, post: str, protocol: int) -> tuple[str, float | None]:
    """Why a page that speaks *protocol* was not served, and when it is to come back."""
    viewer = Viewer(url, post)
    viewer.protocol = protocol
    try:
        with pytest.raises(NotSeen, match="refused"):
            await viewer.connect()
        await viewer.until(lambda: viewer.farewell, "a farewell")
        assert viewer.farewell is not None
        return viewer.errors[0]["code"], viewer.farewell["retry_after"]
    finally:
        await viewer.close()


async def test_a_page_that_is_too_old_or_too_new_for_the_host_is_told_which(
    tmp_path: Path, redis_url: str, keys: KeySpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PROTOCOL", 3)
    monkeypatch.setattr(live, "OLDEST_PROTOCOL", 2)
    async with running_host(tmp_path, redis_url, keys.prefix) as host:
        await host.install(TALLY)
        post, url = await host.submit_post("tally"), host.host.url
        assert await refused(url, post, 1) == ("unsupported", None)
        assert await refused(url, post, 4) == ("not_ready", 2)
        for protocol in (2, 3):
            neighbour = Viewer(url, post)
            neighbour.protocol = protocol
            async with neighbour:
                await neighbour.sees("own 0")
        # an EventSource sees no status, and would come back for ever
        hello = json.dumps({"type": "hello", "post": post, "env": {}})
        async with host.client.get(f"{url}/live/{post}/stream", params={"hello": hello}) as answer:
            said = (await answer.read()).decode()
        assert answer.status == 200
        assert '"code":"unsupported"' in said
        assert '"retry_after":null' in said
