"""An exported installation: JSON lines, each a record with its kind in `record`. `docs/operator-guide.md` describes it.

The first line is the header, the last one says how many lines of each kind there were, so that a file that was cut off is
noticed. Between them stand settings, jobs and keys, in no promised order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from showground.apps.setting_fields import import_faults
from showground.capabilities import Job
from showground.errors import Problem
from showground.model import AppVersion, Frozen, Json

FORMAT: Final = 1
MAX_PROBLEMS: Final = 100


class Header(Frozen, frozen=True, kw_only=True, tag_field="record", tag="installation"):
    format: int
    app: str
    version: str
    digest: str
    community: str
    exported_at_ms: int
    secrets: bool = False
    """Whether secrets are here, in the clear."""


class SettingRecord(Frozen, frozen=True, kw_only=True, tag_field="record", tag="setting"):
    scope: Literal["installation", "app"]
    name: str
    value: Json


class JobRecord(Frozen, frozen=True, kw_only=True, tag_field="record", tag="job"):
    job: Job


class KeyRecord(Frozen, frozen=True, kw_only=True, tag_field="record", tag="key"):
    """One key, as `KeyValue.export` gives it (docs/redis.md)."""

    key: Any
    type: str
    value: Any
    expires_at_ms: int | None = None

    def loadable(self) -> Mapping[str, Json]:
        """What `KeyValue.load` takes."""
        record: dict[str, Json] = {"key": self.key, "type": self.type, "value": self.value}
        return record if self.expires_at_ms is None else {**record, "expires_at_ms": self.expires_at_ms}


class End(Frozen, frozen=True, kw_only=True, tag_field="record", tag="end"):
    settings: int
    jobs: int
    keys: int


Record = Header | SettingRecord | JobRecord | KeyRecord | End
_records: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class _Base64(msgspec.Struct, forbid_unknown_fields=True):
    base64: str


_Text = str | _Base64
_SHAPES: Final[Mapping[str, Any]] = {
    "string": _Text,
    "hash": list[tuple[_Text, _Text]],
    "list": list[_Text],
    "set": list[_Text],
    "zset": list[tuple[_Text, _Text]],
    "stream": list[tuple[_Text, list[_Text]]],
}


def encode(record: Record) -> bytes:
    return msgspec.json.encode(record) + b"\n"


def read(line: bytes) -> Record:
    """Raises `msgspec.DecodeError` (or `UnicodeDecodeError`) for what is no record."""
    return _records.decode(line)


class Check:
    """Reads a file line by line and gathers what is wrong with it for one version of an app."""

    def __init__(self, version: AppVersion) -> None:
        self._version = version
        self._number = 0
        self._count: Counter[str] = Counter()
        self._header: Header | None = None
        self._ended = False
        self.problems: list[Problem] = []

    @property
    def header(self) -> Header:
        assert self._header is not None, "a file without problems has a header"
        return self._header

    def take(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self._number += 1
            if len(self.problems) < MAX_PROBLEMS:
                self.problems += self._line(line)

    def finish(self) -> None:
        if not self._ended and not self.problems:
            self.problems.append(Problem(f"line {self._number}", "the file ends too early", "Export again."))

    def _line(self, line: bytes) -> Iterator[Problem]:
        where = f"line {self._number}"
        try:
            record = read(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield Problem(where, f"this is no record of an export: {error}", "Give a file of `showground export`.")
            return
        if (self._number == 1) != isinstance(record, Header) or self._ended:
            yield Problem(
                where, "the header stands first, the end last, and both once", "Give the file as it was written."
            )
        elif isinstance(record, Header):
            self._header = record
            if record.format != FORMAT:
                yield Problem(where, f"its format is {record.format}", f"This host reads format {FORMAT}.")
            if record.app != self._version.app:
                yield Problem(where, f"it is an installation of {record.app}", f"Import it into {record.app}.")
        elif isinstance(record, End):
            self._ended = True
            if (record.settings, record.jobs, record.keys) != tuple(self._count[k] for k in ("setting", "job", "key")):
                yield Problem(where, "lines are missing from the file", "Export again.")
        elif isinstance(record, SettingRecord):
            self._count["setting"] += 1
            for problem in import_faults(self._version, record.scope, record.name, record.value):
                yield Problem(f"{where}: setting {problem.where}", problem.message, problem.remedy)
        elif isinstance(record, JobRecord):
            self._count["job"] += 1
            if self._version.registration.job(record.job.name) is None:
                yield Problem(
                    f"{where}: job {record.job.name}",
                    f"{self._version.app} {self._version.version} has no such job",
                    "Import into the version it is of.",
                )
        else:
            self._count["key"] += 1
            yield from _key_faults(where, record)


def _key_faults(where: str, record: KeyRecord) -> Iterator[Problem]:
    shape = _SHAPES.get(record.type)
    try:
        msgspec.convert(record.key, _Text)
        if shape is not None:
            msgspec.convert(record.value, shape)
    except msgspec.ValidationError as error:
        yield Problem(f"{where}: key {record.key}", str(error), "docs/redis.md has the shape of each type.")
    if shape is None:
        yield Problem(
            f"{where}: key {record.key}", f"there is no type {record.type!r}", f"Known: {', '.join(_SHAPES)}."
        )
