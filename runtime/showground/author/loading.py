"""Loads a bundle: imports its code, asks it what it registers, checks all of it, and is ready to run its handlers.

Happens in a worker, never in the host. Several bundles may be loaded in one process, as tests do.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from showground.author.collection import Collection, loading
from showground.author.handling import call_handler, call_together, encode_result, read_event
from showground.author.hooks import gather
from showground.author.modules import BundleModules
from showground.author.places import Places
from showground.author.registration import Handlers, Registrar
from showground.bundle.manifest import Manifest, trusted_manifest
from showground.context.assets import AssetNames
from showground.context.call import Call
from showground.context.context import Context
from showground.context.event import Event, view
from showground.errors import Problem, ShowgroundError
from showground.model import AppVersion, Invocation, Registration

if TYPE_CHECKING:
    from showground.author.views import Views


class LoadedBundle:
    """A bundle whose code was imported and found free of faults. A context manager: leaving it forgets the modules."""

    def __init__(
        self,
        modules: BundleModules,
        module: ModuleType,
        manifest: Manifest,
        registration: Registration,
        handlers: Handlers,
        digest: str = "",
    ) -> None:
        self.manifest = manifest
        self.folder = modules.folder
        self.digest = digest
        """Of the content; empty when the bundle was loaded from a folder that nobody uploaded."""
        self.module = module
        """The entry module, for tests that call a function of it directly."""
        self.registration = registration
        self.handlers = handlers
        self._modules = modules

    async def run(self, invocation: Invocation, payload: bytes, call: Call) -> bytes:
        """Run what *invocation* names and return its result.

        | kind | payload | result |
        |---|---|---|
        | trigger | JSON of the event's data | JSON of what the handler returned; a list for several handlers |
        | job | JSON `{"name", "data"}` | JSON of what the handler returned |
        | menu | JSON `{"location", "targetId"}` | JSON `{"effects": […]}` |
        | form | JSON `{"values": {…}}` | JSON `{"effects": […]}` |
        | validate | JSON `{"value", "isEditing"}` | JSON `{"error": text or null}` |
        | view | see docs/view-protocol.md | see there |

        Raises what the handler raised, unchanged; `not_found` when the bundle has no such handler.
        """
        match invocation.kind:
            case "trigger":
                handlers = self._find(self.handlers.triggers, invocation)
                context = Context(invocation, call, self.asset_names)
                result = await call_together(handlers, payload, invocation.name, context)
                return encode_result(result, f"the handler of {invocation.name}")
            case "job":
                context = Context(invocation, call, self.asset_names)
                handler = self._find(self.handlers.jobs, invocation)
                result = await call_handler(handler, read_event(payload, "job", invocation.name), context)
                return encode_result(result, f"the job {invocation.name}")
            case "menu" | "form":
                return await self._interact(invocation, payload, call)
            case "validate":
                validator = self._find(self.handlers.validators, invocation)
                event = read_event(payload, "validate", invocation.name)
                error = await call_handler(validator, event, Context(invocation, call, self.asset_names))
                return msgspec.json.encode({"error": None if error is None else str(error)})
            case "view":
                answer: bytes = await self.views.handle(invocation, payload, call)
                return answer

    async def _interact(self, invocation: Invocation, payload: bytes, call: Call) -> bytes:
        from showground.context.ui import Ui

        event = read_event(payload, invocation.kind, invocation.name)
        if invocation.kind == "menu":
            handler = self._find(self.handlers.menu_items, invocation).on_press
        else:
            handler = self._find(self.handlers.forms, invocation).on_submit
            self._check_values(invocation.name, event)
        ui = Ui(self.handlers.forms)
        await call_handler(handler, event, Context(invocation, call, self.asset_names, ui))
        return msgspec.json.encode({"effects": ui.effects})

    def _check_values(self, key: str, event: Event) -> None:
        """Hold what was sent to the form's fields. What a form that a function made may hold is known to that function only."""
        from showground.ui.forms import validate

        form = next((f.form for f in self.registration.forms if f.id == key), None)
        if form is None:
            return
        values, errors = validate(form, event.get("values"))
        if errors:
            raise ShowgroundError(
                "invalid",
                "The form's values do not fit its fields",
                key,
                details=tuple(Problem(f"values/{name}", message) for name, message in errors.items()),
            )
        event["values"] = view(values)

    @functools.cached_property
    def views(self) -> Views:
        """Keeps the views of the app's posts."""
        from showground.author.views import Views  # most workers never draw

        return Views(self)

    @functools.cached_property
    def asset_names(self) -> AssetNames:
        """Paths below the assets folder. The host serves them by the digest of the content, so an address never goes stale."""
        folder = self.folder / self.manifest.assets
        return AssetNames.at(
            f"/assets/{self.digest}", (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        )

    @staticmethod
    def _find(known: Any, invocation: Invocation) -> Any:
        try:
            return known[invocation.name]
        except KeyError:
            raise ShowgroundError(
                "not_found",
                f"The app has no {invocation.kind} {invocation.name}",
                f"{invocation.app} {invocation.app_version}",
                f"It has {', '.join(known) or 'none'}.",
            ) from None

    def close(self) -> None:
        """Forget the bundle's modules. Idempotent."""
        self._modules.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_bundle(folder: Path, app: Manifest | AppVersion | None = None) -> LoadedBundle:
    """Import the bundle in *folder* and check everything that it registers. *app* may give its manifest; else it is read.

    Raises `bundle_invalid` with every fault in `details`, or, unchanged, what the bundle's own code raised while it was imported.
    """
    manifest = app if isinstance(app, Manifest) else trusted_manifest(folder)
    folder = folder.resolve()
    places = Places(folder)
    problems: list[Problem] = []
    modules = BundleModules(folder)
    collection = Collection()
    modules.open()
    try:
        with loading(collection):
            module = _import(modules, manifest.entry, places)
        problems += [
            Problem(places.short(e.where), f"{e.record} got no handler", "Use it as a decorator, or pass the handler.")
            for e in collection.unused.values()
        ]
        found = gather(module, collection, places, problems)
        registration, handlers = Registrar(manifest, places, problems).build(found)
        if problems:
            raise ShowgroundError("bundle_invalid", "The bundle has faults", manifest.name, details=tuple(problems))
    except BaseException:
        modules.close()
        raise
    digest = app.digest if isinstance(app, AppVersion) else ""
    return LoadedBundle(modules, module, manifest, registration, handlers, digest)


def rehearse() -> None:
    """Load a very small bundle, so that what Python and msgspec make at first use is there already.

    The zygote does this before it forks (`showground.worker.loader`): half of what loading a small app cost each worker was such
    first uses (2026-11-24).
    """
    with tempfile.TemporaryDirectory(prefix="showground-rehearsal-") as folder:
        Path(folder, "app.json").write_text('{"name": "rehearsal", "version": "1.0.0"}')
        Path(folder, "main.py").write_text(REHEARSAL)
        app = AppVersion(app="rehearsal", version="1.0.0", digest="", entry="main.py")
        with load_bundle(Path(folder), app) as bundle:
            msgspec.msgpack.encode(bundle.registration)
            msgspec.convert(msgspec.to_builtins(app), AppVersion)


REHEARSAL = """
from showground import Context, Devvit, Event, use_state
from showground.blocks import Element, blocks, text

@Devvit.add_trigger("PostCreate")
async def created(event: Event, context: Context) -> None:
    pass

@Devvit.add_custom_post_type("Rehearsal")
def rehearsal(context: Context) -> Element:
    return blocks(text("rehearsal"))
"""


def _import(modules: BundleModules, entry: str, places: Places) -> ModuleType:
    if not (modules.folder / entry).is_file():
        raise _invalid(entry, "the entry does not exist", "Create it, or name another one as entry in app.json.")
    try:
        return modules.load(entry)
    except SyntaxError as error:
        raise _invalid(places.of_error(error) or entry, f"{type(error).__name__}: {error.msg}", "") from error
    except ModuleNotFoundError as error:
        name = (error.name or "").removeprefix(f"{modules.package}.")
        raise _invalid(
            places.of_error(error) or entry,
            f"there is no module {name}",
            "Workers have the standard library and showground; put other modules into the bundle.",
        ) from error
    except SystemExit as error:
        raise ShowgroundError(
            "app_load_failed", "the bundle called sys.exit while it was imported", places.of_error(error) or entry
        ) from error


def _invalid(where: str, message: str, remedy: str) -> ShowgroundError:
    return ShowgroundError("bundle_invalid", "The bundle has faults", where, details=(Problem(where, message, remedy),))
