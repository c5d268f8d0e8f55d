"""Who is signed in: a signed cookie that names a user, nothing more. And which forms come from pages of ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from aiohttp import web

from showground.clock import Clock

COOKIE = "showground_session"
VISITOR_COOKIE = "showground_visitor"
LASTS_S = 30 * 24 * 3600


class Sessions:
    """Signs users in and out by cookie: `user id . expiry . HMAC-SHA-256`.

    Where browsers come by https, cookies are Secure and their names begin with `__Host-`, so that no other host of the domain
    can set them (RFC 6265bis section 4.1.3.2).
    """

    def __init__(self, secret: bytes, clock: Clock, is_secure: bool = False) -> None:
        self._secret = hashlib.sha256(b"showground session\0" + secret).digest()
        self._clock = clock
        self._is_secure = is_secure
        prefix = "__Host-" if is_secure else ""
        self.cookie = prefix + COOKIE
        self.visitor_cookie = prefix + VISITOR_COOKIE

    def sign_in(self, response: web.StreamResponse, user_id: str) -> None:
        text = f"{user_id}.{self._clock.now_ms() // 1000 + LASTS_S}"
        self._set(response, self.cookie, f"{text}.{self._sign('session', text)}")

    def sign_out(self, response: web.StreamResponse) -> None:
        response.del_cookie(self.cookie, path="/", secure=self._is_secure, httponly=True, samesite="Lax")

    def user_of(self, request: web.Request) -> str | None:
        """The signed-in user's id; None for nobody, and for a cookie that is not ours or has expired."""
        text, _, signature = request.cookies.get(self.cookie, "").rpartition(".")
        user_id, _, expires = text.rpartition(".")
        if not user_id or not _same(signature, self._sign("session", text)):
            return None
        return user_id if int(expires) > self._clock.now_ms() // 1000 else None

    # --- forms ---

    def browser(self, request: web.Request) -> str:
        """What names the browser that sent *request*: its session, else a random value; `remember` it with the answer."""
        return self._known_browser(request) or secrets.token_urlsafe(18)

    def remember(self, request: web.Request, response: web.StreamResponse, browser: str) -> None:
        if self._known_browser(request) is None:
            self._set(response, self.visitor_cookie, browser)

    def form_token(self, browser: str) -> str:
        """What forms of our own pages carry, so that another site's page cannot send them (CSRF)."""
        return self._sign("form", browser)

    def is_own_form(self, request: web.Request, sent: str) -> bool:
        """Whether the token is the sending browser's own, and the browser does not say that another site's page sent it.

        A page of another site can fetch a token for itself, but not one for a cookie that it neither reads nor sets; and the
        cookies are not sent with its forms (SameSite). A request without any cookie is nobody's form.
        """
        browser = self._known_browser(request)
        if browser is None or request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return False
        return _same(sent, self.form_token(browser))

    # --- inside ---

    def _known_browser(self, request: web.Request) -> str | None:
        return request.cookies.get(self.cookie) or request.cookies.get(self.visitor_cookie) or None

    def _set(self, response: web.StreamResponse, name: str, value: str) -> None:
        response.set_cookie(
            name, value, max_age=LASTS_S, httponly=True, secure=self._is_secure, samesite="Lax", path="/"
        )

    def _sign(self, purpose: str, text: str) -> str:
        digest = hmac.new(
            self._secret, f"{purpose}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256
        ).digest()
        return base64.urlsafe_b64encode(digest[:24]).decode()


def _same(sent: str, right: str) -> bool:
    """In constant time, for whatever was sent."""
    return hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), right.encode())
