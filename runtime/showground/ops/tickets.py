"""Viewer tickets: how a site tells the host, in the browser's hands, who is looking.

A ticket is a JWT (RFC 7519) signed with HS256, for one community (`aud`), short-lived (`exp`), naming its key (`kid`) so that
keys can be rotated: the newest signs, all verify.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from typing import TypeGuard

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.model import Frozen

ALGORITHM = "HS256"
MAX_AGE_S = 3600.0
"""The longest life of a ticket; a site's back end makes a fresh one with each page."""
LEEWAY_S = 30.0
"""How far the clocks of site and host may differ."""
MIN_SECRET_BYTES = 32
"""RFC 7518 section 3.2: a key of the hash's size or larger."""


class Ticket(Frozen, frozen=True, kw_only=True):
    """Who is looking."""

    community: str
    user_id: str
    username: str
    is_moderator: bool = False
    expires_at_ms: int = 0


class Tickets:
    """Signs and verifies tickets. *secrets* maps key ids to secrets, newest last."""

    def __init__(self, secrets: Mapping[str, bytes], clock: Clock) -> None:
        if not secrets:
            raise ShowgroundError("misconfigured", "there is no key for viewer tickets", "tickets")
        for kid, secret in secrets.items():
            if len(secret) < MIN_SECRET_BYTES:
                raise ShowgroundError(
                    "misconfigured",
                    f"the ticket key {kid!r} has {len(secret)} bytes",
                    "tickets",
                    f"Use at least {MIN_SECRET_BYTES} random bytes.",
                )
        self._keys = {kid: OctKey.import_key(secret) for kid, secret in secrets.items()}
        self._newest = list(secrets)[-1]
        self._clock = clock

    def sign(
        self, community: str, user_id: str, username: str, *, is_moderator: bool = False, ttl_s: float = 300.0
    ) -> str:
        """A ticket for one viewer in one community, good for *ttl_s* seconds (at most `MAX_AGE_S`)."""
        if not 0 < ttl_s <= MAX_AGE_S:
            raise ShowgroundError("invalid", f"a ticket lasts at most {MAX_AGE_S:g} s", "ttl_s")
        now = self._clock.now_ms() // 1000
        claims = {
            "aud": community,
            "sub": user_id,
            "name": username,
            "mod": is_moderator,
            "iat": now,
            "exp": now + int(ttl_s),
        }
        return jwt.encode({"alg": ALGORITHM, "kid": self._newest}, claims, self._keys[self._newest])

    def verify(self, ticket: str, community: str) -> Ticket:
        """Who *ticket* names. Raises `unauthorized` for whatever is wrong with it, `forbidden` for another community's."""
        try:
            decoded = jwt.decode(ticket, self._key_of, algorithms=[ALGORITHM])
        except (JoseError, ValueError, TypeError) as error:
            raise _refused("it is not signed by a key of this host") from error
        claims = decoded.claims
        user_id, username = claims.get("sub"), claims.get("name")
        issued, expires = claims.get("iat"), claims.get("exp")
        if not (isinstance(user_id, str) and user_id and isinstance(username, str) and username):
            raise _refused("it names no viewer (`sub` and `name`)")
        if not (_is_time(issued) and _is_time(expires)):
            raise _refused("it has no time (`iat` and `exp`)")
        now = self._clock.now_ms() / 1000
        if now > expires + LEEWAY_S:
            raise _refused("it has expired")
        if issued > now + LEEWAY_S:
            raise _refused("it is from the future")
        if expires - issued > MAX_AGE_S:
            raise _refused(f"it lasts longer than {MAX_AGE_S:g} s")
        audience = claims.get("aud")
        if community not in (audience if isinstance(audience, list) else [audience]):
            raise ShowgroundError("forbidden", "the ticket is for another community", "ticket")
        return Ticket(
            community=community,
            user_id=user_id,
            username=username,
            is_moderator=claims.get("mod") is True,
            expires_at_ms=int(expires * 1000),
        )

    def _key_of(self, token: object) -> OctKey:
        headers = token.headers() if hasattr(token, "headers") else {}
        kid = headers.get("kid")
        if isinstance(kid, str) and kid in self._keys:
            return self._keys[kid]
        raise ValueError("unknown key id")


def ticket_keys(site: Mapping[str, str], own: bytes) -> dict[str, bytes]:
    """The keys of the operator's sites (base64, from the settings), and the deployment's own, which signs for demo pages.

    Raises `misconfigured` for what is not base64. The own key is no site's: it is derived, and named so that none collides.
    """
    keys: dict[str, bytes] = {}
    for name, text in site.items():
        try:
            keys[name] = base64.b64decode(text, validate=True)
        except ValueError:
            raise ShowgroundError(
                "misconfigured", f"the ticket key {name!r} is not base64", "tickets.keys", "Encode its bytes in base64."
            ) from None
    keys["~host"] = hashlib.sha256(b"showground tickets\0" + own).digest()
    return keys


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refused(reason: str) -> ShowgroundError:
    return ShowgroundError(
        "unauthorized", f"the ticket is not valid: {reason}", "ticket", "Ask the site for a new one."
    )
