"""The app with decorators, and the same app with hooks in `apps/webhook_relay_hooks`: what holds for one holds for both."""

from pathlib import Path
from typing import Any

import pytest

from showground.testing.playground import Playground

ORDER = "com.example.OrderPaid"


@pytest.fixture(params=["webhook_relay", "webhook_relay_hooks"])
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(__file__).parents[1] / str(request.param)


@pytest.fixture
def playground_settings() -> dict[str, dict[str, Any]]:
    """What the operator writes into showground.toml, so that the host knows the event."""
    return {"events": {"types": {ORDER: {"type": "object", "required": ["number", "amount"]}}}}


async def test_a_paid_order_reaches_whoever_listens(playground: Playground, folder: Path) -> None:
    app = await playground.install(folder)
    async with app.listen("orders") as listener:
        assert await app.emit(ORDER, {"number": "7", "amount": 10}) is True
        message = await listener.next()
        assert (message["number"], message["amount"]) == ("7", 10)
        assert message["id"], "without an id a listener could not tell a repeated message"


async def test_small_orders_are_kept_back(playground: Playground, folder: Path) -> None:
    app = await playground.install(folder, at_least=100)
    async with app.listen("orders") as listener:
        assert await app.emit(ORDER, {"number": "8", "amount": 99}) is False
        assert await app.emit(ORDER, {"number": "9", "amount": 100}) is True
        assert (await listener.next())["number"] == "9"
