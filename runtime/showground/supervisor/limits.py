"""What a worker really gets: what its app asks for, within what the operator allows."""

from __future__ import annotations

import msgspec

from showground.model import AppVersion, LimitBounds, Limits

_UNASKED = Limits()


def bounded(app: AppVersion, bounds: LimitBounds) -> AppVersion:
    """*app* with each of its limits at most the bound, or at the bound where the app asks for nothing.

    Who asks for exactly what is given without asking counts as asking for nothing: a stored version keeps no difference.
    """
    changes = {}
    for name in LimitBounds.__struct_fields__:
        bound, asked = getattr(bounds, name), getattr(app.limits, name)
        if bound is not None:
            changes[name] = bound if asked == getattr(_UNASKED, name) else min(asked, bound)
    return msgspec.structs.replace(app, limits=msgspec.structs.replace(app.limits, **changes)) if changes else app
