"""Bundles that are wrong in one way each: whatever is wrong is said when it is loaded, with the place and the remedy."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from showground.author.loading import load_bundle
from showground.errors import ShowgroundError
from showground.testing.bundles import write_bundle

TOP = "from showground import *\nfrom showground import Devvit, hookimpl\ndef handler(event, context): pass\n"
"""Three lines, so that the code of a case starts at line 4."""


@dataclass(frozen=True)
class Broken:
    code: str
    where: str
    words: str
    """Stand in the message or the remedy, in this order, separated by `…`."""
    manifest: dict[str, Any] = field(default_factory=dict)


CASES = {
    # triggers
    "unknown event": Broken(
        'Devvit.add_trigger("PostCreat", on_event=handler)', "main.py:4", "Unknown trigger event: PostCreat…PostCreate"
    ),
    "unknown event by hook": Broken(
        '@hookimpl\ndef add_trigger():\n  return [Trigger(event="Nope", handler=handler)]',
        "main.py:4",
        "Unknown trigger event: Nope…AppInstall",
    ),
    "event with a capital first": Broken(
        'Devvit.add_trigger("Com.example", on_event=handler)', "main.py:4", "Unknown trigger event…dotted"
    ),
    "decorator without a call": Broken(
        "@Devvit.add_trigger\ndef f(event, context): pass",
        "main.py:4",
        'got a function…@Devvit.add_trigger("AppInstall")',
    ),
    "decorator without a function": Broken(
        'Devvit.add_scheduler_job("a")', "main.py:4", "add_scheduler_job got no handler"
    ),
    "trigger of nothing": Broken("Devvit.add_trigger(on_event=handler)", "main.py:4", "names no event"),
    "handler is no function": Broken(
        'Devvit.add_trigger("PostCreate", on_event=3)', "main.py:4", "a int, not a function…(event, context)"
    ),
    "handler takes one argument": Broken(
        '@Devvit.add_trigger("PostCreate")\ndef f(event): pass',
        "main.py:4",
        "f(event), cannot be called with 2 arguments…def f(event, context)",
    ),
    "handler takes three": Broken(
        '@Devvit.add_trigger("PostCreate")\nasync def f(a, b, c): pass',
        "main.py:4",
        "cannot be called with 2 arguments",
    ),
    "handler wants a keyword": Broken(
        'Devvit.add_trigger("PostCreate", on_event=lambda event, context, *, x: 1)', "main.py:4", "cannot be called"
    ),
    "timeout below zero": Broken(
        'Devvit.add_trigger("PostCreate", on_event=handler, timeout_s=-1)', "main.py:4", "timeout_s…more than 0"
    ),
    "timeout beyond the app's": Broken(
        'Devvit.add_trigger("PostCreate", on_event=handler, timeout_s=60)',
        "main.py:4",
        "60 s, but the app's limit is 30 s…limits",
    ),
    "no attempts": Broken(
        'Devvit.add_trigger("PostCreate", on_event=handler, max_attempts=0)', "main.py:4", "max_attempts…from 1"
    ),
    # jobs
    "duplicate job": Broken(
        'Devvit.add_scheduler_job("a", on_run=handler)\nDevvit.add_scheduler_job("a", on_run=handler)',
        "main.py:5",
        "Job a is already defined",
    ),
    "job without a name": Broken(
        'Devvit.add_scheduler_job("", on_run=handler)', "main.py:4", "a scheduler job has no name"
    ),
    "job handler takes none": Broken(
        '@Devvit.add_scheduler_job("a")\ndef f(): pass', "main.py:4", "f(), cannot be called with 2"
    ),
    "static job without a handler": Broken(
        'Devvit.add_scheduler_job("tick", on_run=handler)',
        "app.json/jobs/0/name",
        "Job tik not found…tick",
        {"jobs": [{"name": "tik", "cron": "* * * * *"}]},
    ),
    "limits of no handler": Broken(
        "",
        "app.json/handlers/trigger:PostCreate",
        "no trigger PostCreate",
        {"handlers": {"trigger:PostCreate": {"timeout_s": 1}}},
    ),
    # posts
    "second post type": Broken(
        'Devvit.add_custom_post_type("A", render=lambda c: 1)\nDevvit.add_custom_post_type("B", render=lambda c: 1)',
        "main.py:5",
        "B is a second custom post type, after A",
    ),
    "render takes two": Broken(
        '@Devvit.add_custom_post_type("A")\ndef draw(event, context): pass', "main.py:4", "with 1 argument…(context)"
    ),
    "unknown height": Broken(
        'Devvit.add_custom_post_type("A", render=lambda c: 1, height="huge")',
        "main.py:4",
        "height…'huge'…regular or tall",
    ),
    # menu
    "menu item without a label": Broken('Devvit.add_menu_item("", "post", on_press=handler)', "main.py:4", "no label"),
    "menu at an unknown place": Broken(
        'Devvit.add_menu_item("A", "sidebar", on_press=handler)',
        "main.py:4",
        "location…'sidebar'…post or comment or subreddit",
    ),
    "menu nowhere": Broken(
        'Devvit.add_menu_item("A", [], on_press=handler)', "main.py:4", "location of the menu item 'A'"
    ),
    "menu for an unknown user": Broken(
        'Devvit.add_menu_item("A", "post", on_press=handler, for_user_type="admin")',
        "main.py:4",
        "for_user_type…moderator",
    ),
    "menu with an unknown filter": Broken(
        'Devvit.add_menu_item("A", "post", on_press=handler, post_filter="mine")', "main.py:4", "post_filter…currentApp"
    ),
    "on_press takes one": Broken(
        'Devvit.add_menu_item("A", "post", on_press=lambda event: 1)', "main.py:4", "on_press…with 2 arguments"
    ),
    # forms
    "form without fields": Broken('Devvit.create_form({"title": "x"}, handler)', "main.py:4", "no list of fields"),
    "form field twice, one in a group": Broken(
        'Devvit.create_form({"fields": [{"type": "string", "name": "a"}, {"type": "group", "label": "g", "fields": '
        '[{"type": "number", "name": "a"}]}]}, handler)',
        "main.py:4",
        "Duplicate field name: a",
    ),
    "form field of an unknown type": Broken(
        'Devvit.create_form({"fields": [{"type": "date", "name": "a"}]}, handler)',
        "main.py:4",
        "unknown field…paragraph",
    ),
    "form field without a name": Broken(
        'Devvit.create_form({"fields": [{"type": "string"}]}, handler)', "main.py:4", "has no name"
    ),
    "form that is none": Broken("Devvit.create_form(7, handler)", "main.py:4", "form.0 is a int"),
    "form key twice": Broken(
        '@hookimpl\ndef create_form():\n  f = Form(form={"fields": []}, on_submit=handler, key="k")\n  return [f, f]',
        "main.py:4",
        "form key k is used twice",
    ),
    # configure
    "unknown option": Broken("Devvit.configure(redys=True)", "main.py:4", "no option 'redys'…redis"),
    "option in camel case": Broken("Devvit.configure(redditAPI=True)", "main.py:4", "no option 'redditAPI'…reddit?"),
    "option of a wrong type": Broken('Devvit.configure(redis="yes")', "main.py:4", "redis=True"),
    "option that the manifest refuses": Broken(
        "Devvit.configure(redis=True)", "main.py:4", "does not permit…permissions", {"permissions": {"redis": False}}
    ),
    "http without permission": Broken(
        'Devvit.configure(http={"domains": ["a.example"]})', "main.py:4", "asks for http…permissions"
    ),
    "http domain without permission": Broken(
        'Devvit.configure(http={"domains": ["b.example.com"]})',
        "main.py:4",
        "b.example.com",
        {"permissions": {"http": {"domains": ["a.example.com"]}}},
    ),
    "http domain without a top-level domain": Broken(
        'Devvit.configure(http={"domains": ["localhost"]})',
        "main.py:4",
        "'localhost' is not a domain",
        {"permissions": {"http": {"domains": ["a.example.com"]}}},
    ),
    "26 http domains": Broken(
        'Devvit.configure(http={"domains": [f"a{i}.example.com" for i in range(26)]})',
        "main.py:4",
        "26 http domains; the limit is 25",
        {"permissions": {"http": {"domains": [f"a{i}.example.com" for i in range(26)]}}},
    ),
    "unknown scope": Broken(
        'Devvit.configure(user_actions={"scopes": ["DELETE"]})',
        "main.py:4",
        "'DELETE' is not a scope…SUBMIT_POST",
        {"permissions": {"user_actions": True}},
    ),
    "configure hook gives a list": Broken(
        "@hookimpl\ndef configure():\n  return [1]", "main.py:4", "did not give a mapping"
    ),
    # settings
    "duplicate setting": Broken(
        'Devvit.add_settings({"type": "string", "name": "a"})\n'
        'Devvit.add_settings({"type": "number", "name": "a", "scope": "app"})',
        "main.py:5",
        "Duplicate field name: a…main.py:4",
    ),
    "duplicate setting in a group": Broken(
        'Devvit.add_settings([{"type": "string", "name": "a"}, '
        '{"type": "group", "label": "g", "fields": [{"type": "string", "name": "a"}]}])',
        "main.py:4",
        "Duplicate field name: a",
    ),
    "duplicate setting in the manifest": Broken(
        'Devvit.add_settings({"type": "string", "name": "a"})',
        "main.py:4",
        "Duplicate field name: a…app.json/settings/0",
        {"settings": [{"type": "string", "name": "a"}]},
    ),
    "secret of an installation": Broken(
        'Devvit.add_settings({"type": "string", "name": "a", "is_secret": True})', "main.py:4", 'secret…scope="app"'
    ),
    "setting in camel case": Broken(
        'Devvit.add_settings({"type": "string", "name": "a", "helpText": "x"})', "main.py:4", "'helpText'…help_text"
    ),
    "setting of an unknown type": Broken(
        'Devvit.add_settings({"type": "date", "name": "a"})', "main.py:4", "unknown type 'date'…boolean"
    ),
    "setting of an unknown scope": Broken(
        'Devvit.add_settings({"type": "string", "name": "a", "scope": "user"})', "main.py:4", "unknown scope"
    ),
    "setting without a name": Broken('Devvit.add_settings({"type": "string"})', "main.py:4", "lacks a name or a type"),
    "setting that is none": Broken('Devvit.add_settings(["a"])', "main.py:4", "is a str"),
    "select without options": Broken(
        'Devvit.add_settings({"type": "select", "name": "a"})', "main.py:4", "select without options"
    ),
    "default that does not fit": Broken(
        'Devvit.add_settings({"type": "number", "name": "a", "default_value": "1"})', "main.py:4", "default…number"
    ),
    "default that is no option": Broken(
        'Devvit.add_settings({"type": "select", "name": "a", "options": [("Red", "red")], "default_value": ["blue"]})',
        "main.py:4",
        "does not fit",
    ),
    "validator takes one": Broken(
        'Devvit.add_settings({"type": "string", "name": "a", "on_validate": lambda event: 1})',
        "main.py:4",
        "validator of the setting 'a'",
    ),
    # hooks
    "misspelt hook": Broken(
        "@hookimpl\ndef add_triger(): return []", "main.py:4", "add_triger is not a bundle hook…add_trigger…create_form"
    ),
    "hook with arguments": Broken(
        "@hookimpl\ndef add_trigger(context): return []", "main.py:4", "takes arguments…def add_trigger():"
    ),
    "async hook": Broken("@hookimpl\nasync def add_trigger(): return []", "main.py:4", "async…plain"),
    "hook that fails": Broken(
        "@hookimpl\ndef add_trigger():\n  return 1 / 0", "main.py:6", "add_trigger failed: ZeroDivisionError"
    ),
    "hook that calls Devvit": Broken(
        "@hookimpl\ndef configure():\n  Devvit.configure(redis=True)",
        "main.py:6",
        "configure failed…no bundle is being loaded",
    ),
    "hook that gives something else": Broken(
        '@hookimpl\ndef add_trigger():\n  return ["PostCreate"]', "main.py:4", "returned a str…showground.Trigger"
    ),
    # code
    "syntax error": Broken("def broken(:\n  pass", "main.py:4", "SyntaxError"),
    "module that is not there": Broken(
        "import requests_but_better", "main.py:4", "no module requests_but_better…into the bundle"
    ),
    "entry that is not there": Broken("", "start.py", "entry does not exist", {"entry": "start.py"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_bundle_is_refused_with_place_and_reason(tmp_path: Path, case: str) -> None:
    broken = CASES[case]
    folder = write_bundle(tmp_path / "app", TOP + broken.code + "\n", **broken.manifest)
    before = set(sys.modules)
    with pytest.raises(ShowgroundError) as refused:
        load_bundle(folder)
    assert refused.value.code == "bundle_invalid"
    first = refused.value.details[0]
    assert first.where == broken.where
    said, at = f"{first.message} {first.remedy}", 0
    for words in broken.words.split("…"):
        at = said.find(words, at)
        assert at >= 0, (words, said)
    assert len(refused.value.details) == 1
    assert not {name for name in set(sys.modules) - before if name.startswith("_bundle_")}


def test_all_faults_are_reported_together(tmp_path: Path) -> None:
    codes = [
        c.code for name, c in CASES.items() if not c.manifest and "hook" not in name and c.code.startswith("Devvit.")
    ]
    folder = write_bundle(tmp_path / "app", TOP + "\n".join(codes) + "\n")
    with pytest.raises(ShowgroundError) as refused:
        load_bundle(folder)
    lines = {p.where for p in refused.value.details}
    assert len(refused.value.details) >= len(codes) > 30
    assert lines <= {f"main.py:{n}" for n in range(4, 4 + 2 * len(codes))}
