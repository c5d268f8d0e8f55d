"""Secret settings at rest: encrypted with Fernet (AES-128-CBC with HMAC-SHA-256) under a key that Redis never sees.

The key is `SHOWGROUND_SECRET_KEY`, else the file `secret.key` in the data folder, made at the first start. Both hold one or more
Fernet keys, newest first; the newest encrypts, all decrypt, so that a key can be rotated while hosts run. Hosts that share
a Redis share the key: each proves it at start against a value in Redis.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.redis.api import Redis

VARIABLE = "SHOWGROUND_SECRET_KEY"
FILE = "secret.key"
_PROOF = "showground"


class SecretBox:
    """Encrypts and decrypts secret values. A ciphertext is bound to its owner and name: moved elsewhere it opens no more."""

    def __init__(self, keys: list[str], file: Path | None = None) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise ShowgroundError(
                "misconfigured",
                "the secret key is not a Fernet key",
                VARIABLE if file is None else str(file),
                "Use 32 random bytes in URL-safe base64: `showground settings new-key` prints one.",
            ) from error
        self._keys = keys
        self._file = file

    @classmethod
    def load(cls, data_dir: Path, environ: Mapping[str, str] | None = None) -> SecretBox:
        """From the environment, else from the data folder, where a first key is made. Blocking; called once at start."""
        given = (os.environ if environ is None else environ).get(VARIABLE, "")
        if given:
            return cls([key.strip() for key in given.split(",") if key.strip()])
        file = data_dir / FILE
        if not file.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            _write(file, [new_key()], replace=False)
        return cls(file.read_text("ascii").split(), file)

    def seal(self, owner: str, name: str, value: str) -> str:
        return self._fernet.encrypt(msgspec.json.encode((owner, name, value))).decode()

    def open(self, owner: str, name: str, sealed: str) -> str:
        """The value; raises `misconfigured` when no key of this host opens it, or it was sealed for another place."""
        try:
            found = msgspec.json.decode(self._decrypt(sealed), type=tuple[str, str, str])
        except (InvalidToken, msgspec.DecodeError) as error:
            raise ShowgroundError(
                "misconfigured",
                f"the secret {name} can't be decrypted with the key of this host",
                owner,
                f"Give this host the key that encrypted it ({VARIABLE}), or set the secret again.",
            ) from error
        if found[:2] != (owner, name):
            raise ShowgroundError("misconfigured", f"the secret {name} was stored for another place", owner)
        return found[2]

    def reseal(self, sealed: str) -> str:
        """The same secret under the newest key."""
        try:
            return self._fernet.encrypt(self._decrypt(sealed)).decode()
        except InvalidToken as error:
            raise ShowgroundError(
                "misconfigured", "a secret can't be decrypted with the key of this host", VARIABLE
            ) from error

    def add_key(self) -> None:
        """Make a new key the newest, in the file and here. Raises `misconfigured` when the key comes from the environment."""
        if self._file is None:
            raise ShowgroundError(
                "misconfigured",
                f"the key comes from {VARIABLE}, which a host can't change",
                VARIABLE,
                "Put a new key in front of it, separated by a comma, restart every host, then rotate again.",
            )
        keys = [new_key(), *self._keys]
        _write(self._file, keys, replace=True)
        self._keys = keys
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def _decrypt(self, sealed: str) -> bytes:
        try:
            return self._fernet.decrypt(sealed.encode())
        except InvalidToken:
            if self._file is None or (keys := self._file.read_text("ascii").split()) == self._keys:
                raise
        # Another process that shares the data folder rotated the key.
        self._keys = keys
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        return self._fernet.decrypt(sealed.encode())

    @property
    def from_file(self) -> bool:
        return self._file is not None

    async def prove(self, redis: Redis, keys: KeySpace) -> None:
        """Compare with the other hosts of the deployment; raises `misconfigured` when they use another key."""
        key = keys.host("secret-key")
        await redis.call("SET", key, self.seal("deployment", "proof", _PROOF), "NX")
        self.open("deployment", "proof", bytes(await redis.call("GET", key)).decode())

    async def renew_proof(self, redis: Redis, keys: KeySpace) -> None:
        """Let the proof be under the newest key, so that older ones may be thrown away after a rotation."""
        await redis.call("SET", keys.host("secret-key"), self.seal("deployment", "proof", _PROOF))


def new_key() -> str:
    return Fernet.generate_key().decode()


def _write(file: Path, keys: list[str], *, replace: bool) -> None:
    """Complete or not at all, and readable by its owner only from its first byte on. Without *replace* the first one wins."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write("\n".join(keys) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    if replace:
        beside.replace(file)
        return
    try:
        os.link(beside, file)
    except FileExistsError:
        pass
    finally:
        beside.unlink()
