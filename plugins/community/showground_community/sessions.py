"""Who is signed in: a signed cookie that names a user, nothing more."""

from __future__ import annotations

import base64
import hashlib
import hmac

from aiohttp import web

from showground.clock import Clock

COOKIE = "showground_session"
LASTS_S = 30 * 24 * 3600


class Sessions:
    """Signs users in and out by cookie: `user id . expiry . HMAC-SHA-256`."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = hashlib.sha256(b"showground session\0" + secret).digest()
        self._clock = clock

    def sign_in(self, request: web.Request, response: web.StreamResponse, user_id: str) -> None:
        expires = self._clock.now_ms() // 1000 + LASTS_S
        text = f"{user_id}.{expires}"
        response.set_cookie(
            COOKIE,
            f"{text}.{self._sign(text)}",
            max_age=LASTS_S,
            httponly=True,
            secure=request.secure,
            samesite="Lax",
            path="/",
        )

    def sign_out(self, response: web.StreamResponse) -> None:
        response.del_cookie(COOKIE, path="/")

    def user_of(self, request: web.Request) -> str | None:
        """The signed-in user's id; None for nobody, and for a cookie that is not ours or has expired."""
        text, _, signature = request.cookies.get(COOKIE, "").rpartition(".")
        user_id, _, expires = text.rpartition(".")
        if not user_id or not hmac.compare_digest(signature, self._sign(text)):
            return None
        return user_id if int(expires) > self._clock.now_ms() // 1000 else None

    def form_token(self, request: web.Request) -> str:
        """What forms of our own pages carry, so that another site's page cannot send them (CSRF): tied to the session."""
        return self._sign("form:" + request.cookies.get(COOKIE, ""))

    def is_own_form(self, request: web.Request, sent: str) -> bool:
        return hmac.compare_digest(sent, self.form_token(request))

    def _sign(self, text: str) -> str:
        digest = hmac.new(self._secret, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:24]).decode()
