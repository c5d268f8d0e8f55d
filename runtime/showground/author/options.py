"""`configure`: which capabilities an app uses, checked against what its manifest permits."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from showground.author.collection import Entry
from showground.author.places import Places
from showground.bundle.manifest import FILE, OPTIONS, Manifest
from showground.errors import Problem
from showground.model import Json

MAX_DOMAINS = 25
"""As Devvit's `configure`."""
CAMEL_CASE: Mapping[str, str] = {"redditAPI": "reddit", "kvStore": "redis", "userActions": "user_actions"}
SCOPES = ("SUBMIT_POST", "SUBMIT_COMMENT", "SUBSCRIBE_TO_SUBREDDIT")
DEFAULT_SCOPES = ("SUBMIT_POST", "SUBMIT_COMMENT")
_TLD = re.compile(r"\.[a-zA-Z]{2,}$")
_HOST = re.compile(r"(?=.{1,253}$)([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]{2,63}")


class Options:
    """The merged `configure` options of one bundle; problems go to *problems* while it is built."""

    def __init__(
        self,
        entries: list[Entry[Mapping[str, Any]]],
        manifest: Manifest,
        places: Places,
        problems: list[Problem],
    ) -> None:
        self.capabilities: set[str] = set()
        self.http_domains: tuple[str, ...] = ()
        self.user_scopes: tuple[str, ...] = ()
        self.configured: dict[str, Json] = {}
        self._manifest = manifest
        self._problems = problems
        merged: dict[str, tuple[Any, str]] = {}
        for entry in entries:
            where = places.short(entry.where)
            if not isinstance(entry.record, Mapping):
                self._problem(where, "configure did not give a mapping", 'Return {"redis": True}, for example.')
                continue
            merged.update({str(name): (value, where) for name, value in entry.record.items()})
        for name, (value, where) in merged.items():
            self._one(name, value, where)

    def _problem(self, where: str, message: str, remedy: str) -> None:
        self._problems.append(Problem(where, message, remedy))

    def _one(self, name: str, value: Any, where: str) -> None:
        capability = OPTIONS.get(name)
        if capability is None and name not in self._manifest.permissions:
            near = [CAMEL_CASE[name]] if name in CAMEL_CASE else difflib.get_close_matches(name, OPTIONS, 1)
            guess = f"Did you mean {near[0]}? " if near else ""
            self._problem(
                where,
                f"configure has no option {name!r}",
                f"{guess}The options are {', '.join(sorted(OPTIONS))}, "
                f"and those of plugins that {FILE} names under permissions.",
            )
            return
        enabled = value.get("enabled", True) if isinstance(value, Mapping) else value
        if not isinstance(enabled, bool):
            self._problem(where, f"the option {name} is neither true, false nor a mapping", f"Write {name}=True.")
            return
        self.configured[name] = dict(value) if isinstance(value, Mapping) else value
        if not enabled:
            return
        capability = capability or name
        if not self._permitted(capability):
            self._problem(
                where,
                f"configure asks for {name}, which the manifest does not permit",
                f'Add "{capability}" to "permissions" in {FILE}.',
            )
            return
        self.capabilities.add(capability)
        details: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        if capability == "http":
            self._http(details, where)
        elif capability == "user_actions":
            self._user_actions(details, where)

    def _permitted(self, capability: str) -> bool:
        if capability == "http":
            return bool(self._manifest.http_domains)
        given = self._manifest.permission(capability)
        if isinstance(given, Mapping):
            return given.get("enabled", True) is not False
        return bool(given)

    def _http(self, details: Mapping[str, Any], where: str) -> None:
        asked = details.get("domains", list(self._manifest.http_domains))
        if not isinstance(asked, list | tuple) or not all(isinstance(d, str) for d in asked):
            self._problem(where, "http domains are not a list of strings", 'Write http={"domains": ["example.com"]}.')
            return
        if len(asked) > MAX_DOMAINS:
            self._problem(
                where,
                f"configure asks for {len(asked)} http domains; the limit is {MAX_DOMAINS}",
                "Ask for fewer, or split the app.",
            )
        permitted = {host_name(d) for d in self._manifest.http_domains}
        found: list[str] = []
        for domain in asked:
            host = host_name(domain)
            if host is None:
                self._problem(
                    where,
                    f"{domain!r} is not a domain",
                    "Write a full host name with its top-level domain, such as api.example.com.",
                )
            elif host not in permitted:
                self._problem(
                    where,
                    f"the manifest does not permit requests to {host}",
                    f'Add it to "permissions": {{"http": {{"domains": […]}}}} in {FILE}.',
                )
            elif host not in found:
                found.append(host)
        self.http_domains = tuple(found)

    def _user_actions(self, details: Mapping[str, Any], where: str) -> None:
        scopes = details.get("scopes", DEFAULT_SCOPES)
        if not isinstance(scopes, list | tuple):
            scopes = (scopes,)
        for scope in scopes:
            if scope not in SCOPES:
                self._problem(where, f"{scope!r} is not a scope", f"The scopes are {', '.join(SCOPES)}.")
        self.user_scopes = tuple(s for s in scopes if s in SCOPES)


def host_name(domain: str) -> str | None:
    """The host of *domain* as Devvit reads it: protocol and a leading `www.` dropped; None when it has no top-level domain."""
    host = urlsplit(domain if "//" in domain else f"//{domain}").netloc.lower().removeprefix("www.")
    return host if _TLD.search(host) and _HOST.fullmatch(host) else None
