"""Relays an event of the operator's own, as plain pluggy hooks. `apps/webhook_relay` is the same app with decorators."""

from collections.abc import Mapping
from typing import Any

from showground import Context, Event, SettingField, Trigger, hookimpl


async def relay(event: Event, context: Context) -> bool:
    if event.amount < await context.settings.get("at_least"):
        return False
    # The id lets a listener pass over a message that came twice.
    await context.realtime.send(
        "orders", {"id": context.idempotency_key, "number": event.number, "amount": event.amount}
    )
    return True


@hookimpl
def configure() -> Mapping[str, Any]:
    return {"realtime": True}


@hookimpl
def add_settings() -> list[SettingField]:
    return [SettingField(name="at_least", type="number", label="Smallest amount to announce", default_value=0)]


@hookimpl
def add_trigger() -> list[Trigger]:
    return [Trigger(event="com.example.OrderPaid", handler=relay)]
