"""What a run shows: a table for people, or one JSON document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.judge import SHOWN, Rule


@dataclass
class Report:
    command: str
    """Repeats the run."""
    faults: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    seen: Mapping[str, object] = field(default_factory=dict)
    rules: Sequence[Rule] = ()

    @property
    def passed(self) -> bool:
        return all(rule.passed for rule in self.rules)

    def text(self) -> str:
        lines = [f"{'fault':<16} done  skipped"] if self.faults else []
        lines += [
            f"{kind:<16} {self.faults.get(kind, 0):>4}  {self.skipped.get(kind, 0) or '':>7}"
            for kind in sorted({*self.faults, *self.skipped})
        ]
        if self.seen:
            lines.append("seen: " + ", ".join(f"{name} {value}" for name, value in self.seen.items()))
        lines.append("")
        for rule in self.rules:
            lines.append(f"{'ok  ' if rule.passed else 'FAIL'} {rule.name}: {rule.checked} checks")
            if rule.notes:
                lines.append("       " + ", ".join(f"{name} {value}" for name, value in rule.notes.items()))
            lines += [f"       ! {breach}" for breach in rule.breaches[:SHOWN]]
            if len(rule.breaches) > SHOWN:
                lines.append(f"       ! and {len(rule.breaches) - SHOWN} more")
        lines += ["", f"{'passed' if self.passed else 'FAILED'}; again with: {self.command}"]
        return "\n".join(lines)

    def json(self) -> str:
        return json.dumps(
            {
                "passed": self.passed,
                "command": self.command,
                "faults": dict(self.faults),
                "skipped": dict(self.skipped),
                "seen": dict(self.seen),
                "rules": [
                    {
                        "name": rule.name,
                        "passed": rule.passed,
                        "checked": rule.checked,
                        "notes": rule.notes,
                        "breaches": rule.breaches,
                    }
                    for rule in self.rules
                ],
            },
            indent=2,
        )
