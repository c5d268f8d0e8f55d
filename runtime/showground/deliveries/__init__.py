"""The durable delivery queue: at-least-once, own retries, dead letters, fair between installations. See docs/deliveries.md."""

from showground.deliveries.attempts import Handle
from showground.deliveries.dead_letters import DeadLetters
from showground.deliveries.limits import DeliverySettings
from showground.deliveries.outcomes import DeliveryKey, Outcomes
from showground.deliveries.queue import Offered, RedisDeliveries
from showground.deliveries.records import DeadLetter
from showground.deliveries.runner import Runner

__all__ = [
    "DeadLetter",
    "DeadLetters",
    "DeliveryKey",
    "DeliverySettings",
    "Handle",
    "Offered",
    "Outcomes",
    "RedisDeliveries",
    "Runner",
]
