"""Operator tokens: who may call the HTTP API, for what, where, and until when.

A token is `sgt_` and 256 random bits; the prefix lets secret scanners find a leaked one. Only its SHA-256 is stored (a token has
enough entropy that a slow hash would add nothing), in the hash `sg:tokens`, so every host knows every token.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Literal, get_args

import msgspec

from showground.clock import Clock
from showground.errors import Problem, ShowgroundError
from showground.keys import APP_NAME, COMMUNITY_NAME, KeySpace
from showground.model import Frozen
from showground.redis.api import Redis, Script

log = logging.getLogger("showground.ops.tokens")

Scope = Literal["read", "emit", "deploy", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "sgt_"

CACHE_S = 2.0
"""How long a verified token is believed without asking Redis: the time within which a revocation reaches every host."""
CACHE_SIZE = 4096
USE_EVERY_MS = 10 * 60 * 1000
"""Last use is written down no more often than this."""


class Token(Frozen, frozen=True, kw_only=True):
    """What is known of a token; the token itself is shown once, when it is made."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    community: str | None = None
    """Where it may act; None is everywhere."""
    app: str | None = None
    created_at_ms: int
    expires_at_ms: int | None = None
    last_used_ms: int | None = None
    """To within ten minutes; None when it was never used."""

    def covers(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


_REPLACE = Script("""
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
""")


class Tokens:
    """The tokens of the deployment. `check` is what the web server asks before each guarded request."""

    def __init__(self, redis: Redis, keys: KeySpace, clock: Clock) -> None:
        self._redis = redis
        self._key = keys.host("tokens")
        self._clock = clock
        self._decode = msgspec.json.Decoder(Token).decode
        self._cache: OrderedDict[str, tuple[float, Token]] = OrderedDict()

    async def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        community: str | None = None,
        app: str | None = None,
        ttl_s: float | None = None,
    ) -> tuple[str, Token]:
        """Make a token and return it with its record: the only time that it can be seen. Raises `invalid` with every fault."""
        problems = _problems(name, scopes, community, app, ttl_s)
        if problems:
            raise ShowgroundError("invalid", "this token can't be made", "token", details=problems)
        secret = PREFIX + secrets.token_urlsafe(32)
        digest = _digest(secret)
        now = self._clock.now_ms()
        token = Token(
            id=digest[:16],
            name=name,
            scopes=tuple(s for s in SCOPES if s in scopes),
            community=community,
            app=app,
            created_at_ms=now,
            expires_at_ms=now + int(ttl_s * 1000) if ttl_s is not None else None,
        )
        await self._redis.call("HSET", self._key, digest, msgspec.json.encode(token))
        log.info("token %s (%s) is made: %s", token.id, token.name, ", ".join(token.scopes))
        return secret, token

    async def ensure_root_token(self, known: str | None = None) -> str:
        """A token that may do everything, for `host.json`: *known* while it is still good, else a new one."""
        if known:
            try:
                await self.check(known, "admin", None, None)
            except ShowgroundError as error:
                if error.code not in ("unauthorized", "forbidden"):
                    raise
            else:
                return known
        secret, _ = await self.create("host.json", ["admin"])
        return secret

    async def list(self) -> Sequence[Token]:
        """Oldest first; expired ones, too, until they are revoked."""
        values = await self._redis.call("HVALS", self._key)
        return sorted((self._decode(v) for v in values), key=lambda t: (t.created_at_ms, t.id))

    async def revoke(self, token_id: str) -> None:
        """End a token by its id; it is refused on every host within `CACHE_S`. Raises `not_found`."""
        for field in await self._redis.call("HKEYS", self._key):
            digest = bytes(field).decode()
            if digest[:16] == token_id:
                await self._redis.call("HDEL", self._key, digest)
                self._cache.pop(digest, None)
                log.info("token %s is revoked", token_id)
                return
        raise ShowgroundError(
            "not_found", "there is no token of that id", token_id, "`showground token list` shows them."
        )

    async def check(self, secret: str, scope: str, community: str | None, app: str | None) -> None:
        """Return when the token covers *scope* there; raises `unauthorized` or `forbidden`.

        A token that is restricted to a community or an app covers nothing that concerns them all. Takes the same time for a
        wrong token whatever it shares with a right one: what is looked up is its hash.
        """
        token = self._remembered(_digest(secret)) or await self.verify(secret)
        if not token.covers(scope):
            raise ShowgroundError(
                "forbidden",
                f"the token {token.name!r} has the scopes {', '.join(token.scopes)}, and this needs {scope}",
                "Authorization",
                "Use another token, or make one with `showground token create`.",
            )
        for what, allowed, asked in (("community", token.community, community), ("app", token.app, app)):
            if allowed is not None and allowed != asked:
                raise ShowgroundError(
                    "forbidden",
                    f"the token {token.name!r} is for the {what} {allowed} only",
                    "Authorization",
                    "Use a token without that restriction.",
                )

    async def check_emit(self, secret: str, communities: Collection[str]) -> None:
        """Return when the token may emit into all of *communities*; into none of them: when it may emit at all."""
        token = await self.verify(secret)
        wanted: Collection[str | None] = communities or (token.community,)
        for community in wanted:
            await self.check(secret, "emit", community, token.app)

    async def verify(self, secret: str) -> Token:
        """The record of a valid token; raises `unauthorized`."""
        digest = _digest(secret)
        token = self._remembered(digest)
        if token is not None:
            return token
        now = self._clock.monotonic()
        self._cache.pop(digest, None)
        value = await self._redis.call("HGET", self._key, digest) if secret.startswith(PREFIX) else None
        if not value:
            raise ShowgroundError(
                "unauthorized", "the token is not valid", "Authorization", "It may be mistyped or revoked."
            )
        token = await self._note_use(digest, self._decode(value))
        self._cache[digest] = (now, token)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        if token.expires_at_ms is not None and token.expires_at_ms <= self._clock.now_ms():
            raise ShowgroundError(
                "unauthorized", f"the token {token.name!r} has expired", "Authorization", "Make a new one."
            )
        return token

    def _remembered(self, digest: str) -> Token | None:
        """A token that was found valid within the last `CACHE_S` and has not expired since."""
        cached = self._cache.get(digest)
        if cached is None or self._clock.monotonic() - cached[0] >= CACHE_S:
            return None
        token = cached[1]
        if token.expires_at_ms is not None and token.expires_at_ms <= self._clock.now_ms():
            return None
        return token

    async def _note_use(self, digest: str, token: Token) -> Token:
        now = self._clock.now_ms()
        if token.last_used_ms is not None and now - token.last_used_ms < USE_EVERY_MS:
            return token
        token = msgspec.structs.replace(token, last_used_ms=now)
        # Only if it is still there: a plain HSET would bring back a token that is revoked at this very moment.
        await self._redis.run(_REPLACE, [self._key], [digest, msgspec.json.encode(token)])
        return token


@functools.lru_cache(maxsize=256)
def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _problems(
    name: str, scopes: Sequence[str], community: str | None, app: str | None, ttl_s: float | None
) -> list[Problem]:
    problems = []
    if not 0 < len(name) <= 64:
        problems.append(Problem("name", "must have 1 to 64 characters"))
    if not scopes:
        problems.append(Problem("scopes", "at least one is needed", f"Known: {', '.join(SCOPES)}."))
    problems.extend(
        Problem("scopes", f"{scope!r} is not a scope", f"Known: {', '.join(SCOPES)}.")
        for scope in scopes
        if scope not in SCOPES
    )
    if community is not None and not COMMUNITY_NAME.fullmatch(community):
        problems.append(Problem("community", f"{community!r} is not a community name"))
    if app is not None and not APP_NAME.fullmatch(app):
        problems.append(Problem("app", f"{app!r} is not an app name"))
    if ttl_s is not None and not 1 <= ttl_s <= 10 * 366 * 86400:
        problems.append(Problem("ttl_s", "must be between one second and ten years"))
    return problems
