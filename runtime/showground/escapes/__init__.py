"""The escape suite: attempts to get out of a confined worker, made against the real one, on the machine where it will run.

`showground doctor` runs it for the operator, `tests/isolation` for the project. The attempts are `attempts`, which never
runs in this process; what they are after is `bait`.
"""

from showground.escapes.suite import Outcome, attempt_escapes, names

__all__ = ["Outcome", "attempt_escapes", "names"]
