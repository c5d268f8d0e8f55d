"""Relays an event of the operator's own, with Devvit's decorators. `apps/webhook_relay_hooks` is the same app as hooks."""

from showground import Context, Devvit, Event

Devvit.configure(realtime=True)
Devvit.add_settings({"type": "number", "name": "at_least", "label": "Smallest amount to announce", "default_value": 0})


@Devvit.add_trigger("com.example.OrderPaid")
async def relay(event: Event, context: Context) -> bool:
    if event.amount < await context.settings.get("at_least"):
        return False
    # The id lets a listener pass over a message that came twice.
    await context.realtime.send(
        "orders", {"id": context.idempotency_key, "number": event.number, "amount": event.amount}
    )
    return True
