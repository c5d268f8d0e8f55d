"""Values of settings: typed, checked, with defaults; those of one installation and those that all of an app's share.

Devvit reads app-wide values as text, so that its `"false"` becomes true. Here a value has its type from the moment it is
set: what does not fit its field is refused, and nothing is converted when it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from showground.apps.deployment_secret import renew_deployment_secret
from showground.apps.secrets import SecretBox
from showground.apps.setting_fields import as_list, default_value, value_faults
from showground.errors import Problem, ShowgroundError
from showground.keys import KeySpace
from showground.model import AppVersion, Frozen, Installation, Json, SettingSpec
from showground.ops.redaction import Redactor
from showground.redis.api import Redis, Script

SettingScope = Literal["installation", "app"]

Validate = Callable[[Installation, str, Json], Awaitable[str | None]]
"""Ask the app's own `on_validate` for a field, as an invocation of kind `validate`: None, or what is wrong with the value."""

_CHANGE = Script("""
local unset = tonumber(ARGV[1])
for i = 2, unset + 1 do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = unset + 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
""")
_REPLACE = Script("""
redis.call('DEL', KEYS[1])
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
""")
_WITHDRAW = Script("""
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
""")
_SWAP = Script("""
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
""")


class ShownSetting(Frozen, frozen=True, kw_only=True):
    """One field as operators see it; the value of a secret is never shown again."""

    name: str
    label: str
    type: str
    scope: SettingScope
    is_secret: bool
    is_set: bool
    value: Json = None
    default: Json = None
    help_text: str = ""
    group: str = ""
    options: tuple[tuple[str, str], ...] = ()


class AppSettings:
    """Reads and writes values. Every read comes from Redis: a change holds for the next invocation on every host."""

    def __init__(self, redis: Redis, keys: KeySpace, box: SecretBox, redactor: Redactor, validate: Validate) -> None:
        self._redis = redis
        self._keys = keys
        self._box = box
        self._redactor = redactor
        self._validate = validate

    async def get_all(self, installation: Installation) -> dict[str, Json]:
        """What the app sees: defaults, then the installation's values, then the app's, which win. Secrets in the clear.

        Every declared field is there: without value and default it is None; a select is a list in any case.
        """
        specs = installation.version.registration.settings
        own, shared = await self._redis.pipeline(
            [
                ("HGETALL", self._own_key(installation)),
                ("HGETALL", self._shared_key(installation.app)),
            ]
        )
        values: dict[str, Json] = {}
        for spec in specs:
            stored = _pairs(shared if spec.scope == "app" else own).get(spec.name)
            value = self._read(installation.app, spec, stored)
            values[spec.name] = default_value(spec) if value is None else value
        return values

    async def get(self, installation: Installation, name: str) -> Json:
        """One value, or None when it has none. Raises `not_found` for a field that the app did not add."""
        if all(spec.name != name for spec in installation.version.registration.settings):
            raise ShowgroundError(
                "not_found",
                f"{installation.app} has no setting {name!r}",
                "settings",
                "Add it with Devvit.add_settings or in app.json.",
            )
        return (await self.get_all(installation)).get(name)

    async def shown(
        self, version: AppVersion, scope: SettingScope, installation: Installation | None
    ) -> Sequence[ShownSetting]:
        """The fields of one scope, in the order of their registration, for an operator."""
        key = self._shared_key(version.app) if scope == "app" else self._own_key(_needed(installation))
        stored = _pairs(await self._redis.call("HGETALL", key))
        shown = []
        for spec in version.registration.settings:
            if spec.scope != scope:
                continue
            value = None if spec.is_secret else self._read(version.app, spec, stored.get(spec.name))
            shown.append(
                ShownSetting(
                    name=spec.name,
                    label=spec.label,
                    type=spec.type,
                    scope=scope,
                    is_secret=spec.is_secret,
                    is_set=spec.name in stored,
                    value=value,
                    default=None if spec.is_secret else default_value(spec),
                    help_text=spec.help_text,
                    group=spec.group,
                    options=spec.options,
                )
            )
        return shown

    async def put(
        self,
        version: AppVersion,
        scope: SettingScope,
        changes: Mapping[str, Json],
        installation: Installation | None,
    ) -> None:
        """Set fields, all or none; None unsets. Raises `invalid` with every fault, the app's own validators' included.

        *installation* is whose values they are; for app-wide ones, any installation, whose worker runs the validators.
        """
        specs = {spec.name: spec for spec in version.registration.settings if spec.scope == scope}
        problems: list[Problem] = []
        values: dict[str, Json] = {}
        for name, value in changes.items():
            if name not in specs:
                problems.append(
                    Problem(name, f"is not a setting of {version.app} for this scope", f"Known: {', '.join(specs)}.")
                )
                continue
            values[name] = as_list(specs[name], value)
            problems.extend(value_faults(specs[name], values[name]))
        if not problems:
            problems = await self._ask_app([(specs[n], v) for n, v in values.items()], installation, version)
        if problems:
            raise ShowgroundError("invalid", "these settings can't be saved", version.app, details=problems)
        unset = [name for name, value in values.items() if value is None]
        fields: list[str | bytes] = []
        for name, value in values.items():
            if value is not None:
                fields += [name, self._write(version.app, specs[name], value)]
        key = self._shared_key(version.app) if scope == "app" else self._own_key(_needed(installation))
        await self._redis.run(_CHANGE, [key], [len(unset), *unset, *fields])

    async def stored(
        self, version: AppVersion, scope: SettingScope, installation: Installation | None
    ) -> Sequence[tuple[SettingSpec, Json]]:
        """The values that are set, without defaults; secrets in the clear. For an export."""
        key = self._shared_key(version.app) if scope == "app" else self._own_key(_needed(installation))
        found = _pairs(await self._redis.call("HGETALL", key))
        read = [
            (spec, self._read(version.app, spec, found.get(spec.name)))
            for spec in version.registration.settings
            if spec.scope == scope
        ]
        return [(spec, value) for spec, value in read if value is not None]

    async def load(self, version: AppVersion, values: Mapping[str, Json], installation: Installation) -> None:
        """Make an installation's own values exactly *values*, those of an export, which were checked by the app when they
        were set first and by `setting_fields.import_faults` since."""
        fields = self._fields(version, values)
        key = self._own_key(installation)
        await self._redis.run(_REPLACE, [key], [word for pair in fields.items() for word in pair])

    async def fresh(self, version: AppVersion, values: Mapping[str, Json]) -> dict[str, bytes]:
        """Those of an export's app-wide *values* that are not set here, as `fill` writes them."""
        fields = self._fields(version, values)
        there = _pairs(await self._redis.call("HGETALL", self._shared_key(version.app)))
        return {name: value for name, value in fields.items() if name not in there}

    async def fill(self, app: str, fields: Mapping[str, bytes]) -> None:
        """Set app-wide values that nobody has set meanwhile."""
        key = self._shared_key(app)
        await self._redis.pipeline([("HSETNX", key, name, value) for name, value in fields.items()])

    async def withdraw(self, app: str, fields: Mapping[str, bytes]) -> None:
        """Undo `fill`, but for what somebody has changed since."""
        key = self._shared_key(app)
        await self._redis.run(_WITHDRAW, [key], [word for pair in fields.items() for word in pair])

    def _fields(self, version: AppVersion, values: Mapping[str, Json]) -> dict[str, bytes]:
        specs = {spec.name: spec for spec in version.registration.settings}
        return {name: self._write(version.app, specs[name], value) for name, value in values.items()}

    async def clear(self, installation: Installation) -> None:
        """Forget the installation's own values; those that all share stay with the app."""
        await self._redis.call("DEL", self._own_key(installation))

    async def rotate(self) -> int:
        """Encrypt everything that is encrypted anew under the newest key; returns how many secrets of apps.

        Of every app that was ever uploaded, because its settings outlive its versions. Safe to repeat and to interrupt.
        """
        count = 0
        for app in await self._redis.call("SMEMBERS", self._keys.host("apps")):
            key = self._shared_key(bytes(app).decode())
            for name, value in _pairs(await self._redis.call("HGETALL", key)).items():
                sealed = msgspec.json.decode(value)
                if isinstance(sealed, dict) and "sealed" in sealed:
                    renewed = msgspec.json.encode({"sealed": self._box.reseal(sealed["sealed"])})
                    # Only over the value that was read: somebody may set the secret at this moment.
                    count += int(await self._redis.run(_SWAP, [key], [name, value, renewed]))
        await renew_deployment_secret(self._redis, self._keys, self._box)
        await self._box.renew_proof(self._redis, self._keys)
        return count

    # --- inside ---

    def _own_key(self, installation: Installation) -> str:
        return self._keys.of(installation.id, "settings")

    def _shared_key(self, app: str) -> str:
        return self._keys.host("app", app, "settings")

    def _write(self, app: str, spec: SettingSpec, value: Json) -> bytes:
        if not spec.is_secret:
            return msgspec.json.encode(value)
        self._redactor.learn(str(value))
        return msgspec.json.encode({"sealed": self._box.seal(app, spec.name, str(value))})

    def _read(self, app: str, spec: SettingSpec, stored: bytes | None) -> Json:
        """The stored value, or None when there is none or an upgrade gave the field a type that it no longer fits."""
        if stored is None:
            return None
        value: Json = msgspec.json.decode(stored)
        sealed = value.get("sealed") if isinstance(value, dict) else None
        if isinstance(sealed, str) != spec.is_secret:
            return None
        if isinstance(sealed, str):
            value = self._box.open(app, spec.name, sealed)
            self._redactor.learn(value)
        return None if value_faults(spec, value) else value

    async def _ask_app(
        self, values: Sequence[tuple[SettingSpec, Json]], installation: Installation | None, version: AppVersion
    ) -> list[Problem]:
        asked = [(spec, value) for spec, value in values if spec.has_validator]
        if not asked:
            return []
        if installation is None:
            raise ShowgroundError(
                "conflict",
                f"{version.app} checks {asked[0][0].name} with its own code, and is installed nowhere",
                version.app,
                "Install it in a community first.",
            )
        answers = await asyncio.gather(*(self._validate(installation, spec.name, value) for spec, value in asked))
        return [Problem(spec.name, answer) for (spec, _), answer in zip(asked, answers, strict=True) if answer]


def _pairs(reply: Any) -> dict[str, bytes]:
    items = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {bytes(name).decode(): bytes(value) for name, value in items}


def _needed(installation: Installation | None) -> Installation:
    if installation is None:
        raise ShowgroundError("internal", "the values of an installation were asked for without it", "settings")
    return installation
