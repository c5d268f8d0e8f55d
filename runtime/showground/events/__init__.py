"""CloudEvents in, one durable delivery per installation that listens out. See docs/events.md."""

from showground.events.catalogue import Catalogue, EventType
from showground.events.cloudevents import Event, parse
from showground.events.fanout import AcceptedDelivery, AcceptedEvent, Subscribers
from showground.events.intake import Accepted, Intake

__all__ = [
    "Accepted",
    "AcceptedDelivery",
    "AcceptedEvent",
    "Catalogue",
    "Event",
    "EventType",
    "Intake",
    "Subscribers",
    "parse",
]
