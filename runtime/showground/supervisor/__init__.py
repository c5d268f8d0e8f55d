"""Runs app code: worker processes, their bounds, and the capability calls that they make."""

from showground.supervisor.broker import Broker, ContextSource, Session
from showground.supervisor.isolation import Isolation, Wanted, choose, self_test
from showground.supervisor.logs import LogRecord, OnLog
from showground.supervisor.policy import Policy
from showground.supervisor.pool import PoolStats
from showground.supervisor.supervisor import Supervisor

__all__ = [
    "Broker",
    "ContextSource",
    "Isolation",
    "LogRecord",
    "OnLog",
    "Policy",
    "PoolStats",
    "Session",
    "Supervisor",
    "Wanted",
    "choose",
    "self_test",
]
