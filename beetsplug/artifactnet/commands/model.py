"""``beet aimodel``: which models there are; installing, removing and trying them out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beets import ui
from beets.dbcore.query import SubstringQuery
from beets.exceptions import UserError
from beets.library import Library

from beetsplug.artifactnet.commands.options import (
    Exclusive,
    add_flags,
    check_actions,
    check_exclusive,
    command,
    path_of,
)
from beetsplug.artifactnet.commands.terminal import confirm, say
from beetsplug.artifactnet.errors import ConfigError, ModelError
from beetsplug.artifactnet.library import Field
from beetsplug.artifactnet.models.card import CARD_FILE, ModelCard, read_card, read_card_values
from beetsplug.artifactnet.models.catalogue import KNOWN_MODELS, KnownModel
from beetsplug.artifactnet.models.store import (
    BUNDLED_MODELS,
    DEFAULT_MODEL,
    Model,
    find_model,
    installed_folder,
    installed_models,
    model_ids,
)
from beetsplug.artifactnet.scoring.version import model_of
from beetsplug.artifactnet.thresholds import in_force, read_thresholds
from beetsplug.artifactnet.words import count_of

if TYPE_CHECKING:
    from beetsplug.artifactnet.plugin import ArtifactNetPlugin
    from beetsplug.artifactnet.settings import Settings

_SILENCE_S = 30.0
_STEP_S = 120.0
_MAX_TIMEOUT_S = 86_400.0
_MAX_RATES = 8
_Row = tuple[str, str, str]
"""Id, state, and what else there is to say of a model."""
_USAGE = (
    "list | show [ID] | install ID | install PATH.onnx --card CARD | remove ID | check [ID]"
)


_BELONG_TO = {
    "--card": ("install",),
    "--from": ("install",),
    "--base-url": ("install",),
    "--accept-licence": ("install",),
    "--force": ("install",),
    "--timeout": ("install", "check"),
    "--yes": ("remove",),
}
"""Option -> the actions that it has an effect on."""
_EXCLUSIVE: tuple[Exclusive, ...] = (
    (("--card",), ("--from", "--base-url"), "for models known here"),
    (("--from",), ("--base-url",), "the files are there, or are downloaded"),
    (("--timeout",), ("--card", "--from"), "nothing is downloaded"),
)


def aimodel_command(plugin: ArtifactNetPlugin) -> ui.Subcommand:
    """Return the command, bound to its plugin."""
    parser = ui.CommonOptionsParser(usage=f"%prog {_USAGE}")
    parser.add_option(
        "--card", metavar="CARD", help="install: the card.json of one's own model"
    )
    parser.add_option(
        "--from", dest="source", metavar="DIR", help="install: files downloaded by hand"
    )
    parser.add_option("--base-url", metavar="URL", help="install: a mirror of the files")
    add_flags(
        parser,
        ("--accept-licence", "install: accept the model's licence without being asked"),
        ("-f", "--force", "install: replace what is installed"),
    )
    parser.add_option(
        "--timeout",
        type="float",
        metavar="SECONDS",
        help=f"install: give up after so long without a byte ({_SILENCE_S:g}); "
        f"check: end a step after so long ({_STEP_S:g})",
    )
    add_flags(parser, ("-y", "--yes", "remove: do not ask"))

    def run(lib: Library, opts: Values, args: list[str]) -> None:
        check_actions(parser, opts, _BELONG_TO, args[0] if args else "list")
        check_exclusive(parser, opts, *_EXCLUSIVE)
        _Run(plugin, lib, opts).run(args)

    return command("aimodel", "list, install, remove and check models", parser, run)


class _Run:
    """One call of the command."""

    def __init__(self, plugin: ArtifactNetPlugin, lib: Library, opts: Values) -> None:
        self.lib, self.opts = lib, opts
        self.settings: Settings = plugin.settings()
        (self.models,) = self.settings.model_folders

    def run(self, args: list[str]) -> None:
        actions: dict[str, tuple[Callable[..., None], int, int]] = {
            "list": (self.list, 0, 0),
            "show": (self.show, 0, 1),
            "install": (self.install, 1, 1),
            "remove": (self.remove, 1, 1),
            "check": (self.check, 0, 1),
        }
        name, *rest = args or ["list"]
        action, n_least, n_most = actions.get(name, (self.list, 1, 0))
        if not n_least <= len(rest) <= n_most:
            raise UserError(f"usage: beet aimodel {_USAGE}")
        action(*rest)

    # What there is.

    def list(self) -> None:
        """Print a line for each model: bundled, installed, known."""
        rows = [*self.bundled(), *self.present()]
        ids = {model_id for model_id, _, _ in rows}
        rows += [
            (model_id, "not installed", f"{known.card['licence']}; {known.how}")
            for model_id, known in KNOWN_MODELS.items()
            if model_id not in ids
        ]
        if self.used not in ids:
            rows.append(self.named_otherwise())
        width = max(len(model_id) for model_id, _, _ in rows)
        for model_id, state, text in rows:
            mark = "*" if model_id == self.used else " "
            say(f"{mark} {model_id:<{width}}  {state:<13}  {text}")

    def bundled(self) -> Iterator[_Row]:
        for model_id in model_ids((BUNDLED_MODELS,)):
            card = read_card(BUNDLED_MODELS / model_id / CARD_FILE)
            yield model_id, "bundled", f"{card.version}, {card.licence}"

    def present(self) -> Iterator[_Row]:
        for name, found in installed_models(self.models).items():
            if isinstance(found, ModelError):
                yield name, "broken", str(found)
            else:
                yield name, "installed", f"{found.card.version}, {found.card.licence}"

    def named_otherwise(self) -> _Row:
        """Return the row of a model that the configuration names in another way."""
        try:
            card = self.find().card
        except ModelError as error:
            return self.used, "broken", str(error)
        return self.used, "by its path", f"{card.label}, {card.licence}"

    @property
    def used(self) -> str:
        """Id or path of the model in use."""
        name = self.settings.model
        return DEFAULT_MODEL if name == "default" else name

    def find(self, name: str | None = None) -> Model:
        return find_model(name or self.settings.model, self.settings.model_folders)

    def show(self, name: str | None = None) -> None:
        """Print a model's card, the configured one's where none is named."""
        known = None if name is None else KNOWN_MODELS.get(name)
        if known is not None and name is not None and not (self.models / name).exists():
            rows = {**known.card, "how to get it": known.how}
            _print_rows((key, _compact(value)) for key, value in rows.items())
            return
        model = self.find(name)
        _print_rows(_rows(model, self.in_force(model)))

    def in_force(self, model: Model) -> str:
        """Return the thresholds that verdicts of a model are made with, and whose they are."""
        saved = read_thresholds(self.settings.thresholds_file, model.card.label)
        return str(in_force(self.settings, saved, model.card.thresholds))

    # Installing.

    def install(self, name: str) -> None:
        """Install a known model by its id, or one's own by its path."""
        self.timeout(_SILENCE_S)
        if name.endswith(".onnx"):
            self.install_own(path_of(name))
        elif self.opts.card is not None:
            raise UserError("--card describes a PATH.onnx, and there is none")
        else:
            self.install_known(name)

    def timeout(self, default_s: float) -> float:
        """Return how long to wait, seconds."""
        seconds = default_s if self.opts.timeout is None else self.opts.timeout
        if not 0 < seconds <= _MAX_TIMEOUT_S:
            raise ConfigError(f"--timeout is {seconds:g}, it must be above 0 seconds")
        return seconds

    def install_known(self, name: str) -> None:
        known = KNOWN_MODELS.get(name)
        if known is None:
            raise UserError(
                f"artifactnet: {name!r} is no model that is known here: "
                f"`beet aimodel list` names them, `install PATH.onnx --card CARD` takes others"
            )
        if not known.graph:
            raise UserError(f"artifactnet: {name} cannot be downloaded: {known.how}")
        if (self.models / name).exists() and not self.opts.force:
            say(f"{name} is installed already; --force installs it anew")
            return
        source: Path | str = self.opts.base_url or known.base_url
        if self.opts.source is not None:
            source = path_of(self.opts.source)
        self.install_card(known.card, source, known.graph, known)

    def install_own(self, graph: Path) -> None:
        if self.opts.card is None:
            raise UserError("a model of one's own needs its card: --card CARD.json")
        known = KNOWN_MODELS.get(self.opts.card)
        if known is not None and "output" in known.card:
            values: Any = known.card
        else:
            values = read_card_values(path_of(self.opts.card))
        self.install_card(values, graph.parent, graph.name, known)

    def install_card(
        self, values: Any, source: Path | str, graph: str, known: KnownModel | None
    ) -> None:
        from beetsplug.artifactnet.installing.download import Limits
        from beetsplug.artifactnet.installing.install import check_new, install

        # Before anybody is asked, and before anything is fetched.
        check_new(values, self.models, replaces=self.opts.force)
        for key in ("licence", "notice"):
            if values.get(key):
                say(f"{key}: {values[key]}")
        if known is not None and known.needs_consent and not self.opts.accept_licence:
            confirm("Accept this licence?", "accept it with --accept-licence")
        limits = Limits(timeout_s=self.timeout(_SILENCE_S))
        model = install(
            values, source, graph, self.models, replaces=self.opts.force, limits=limits
        )
        say(
            f"installed {model.card.label} ({model.n_bytes / 1e6:,.1f} MB) "
            f"in {model.folder}; `model: {model.card.model_id}` puts it to use"
        )

    # Removing and trying out.

    def remove(self, model_id: str) -> None:
        """Remove an installed model; scores that it gave stay."""
        from beetsplug.artifactnet.installing.install import remove

        folder = installed_folder(model_id, self.models)
        for line in self.consequences(model_id, folder):
            say(line)
        if not self.opts.yes:
            confirm(f"Remove {folder}?", "confirm with --yes")
        remove(model_id, self.models)
        say(f"removed {model_id}")

    def consequences(self, model_id: str, folder: Path) -> Iterator[str]:
        """Yield what removing a model brings with it."""
        if model_id == self.used:
            yield (
                f"`model: {model_id}` of the configuration names it: nothing can be scored "
                f"until that is changed"
            )
        try:
            label = read_card(folder / CARD_FILE).label
        except ModelError:
            return
        n_tracks = sum(
            model_of(str(item.get(Field.MODEL))) == label
            for item in self.lib.items(SubstringQuery(Field.MODEL, label, fast=False))
        )
        if n_tracks:
            yield (
                f"{count_of(n_tracks, 'track')} keep the scores that it gave, "
                f"outdated for any other model"
            )

    def check(self, name: str | None = None) -> None:
        """Try a model out; the first step that fails ends the command."""
        from beetsplug.artifactnet.installing.check import check_model

        model = self.find(name)
        say(f"ok card: {model.card.label} in {model.folder}")
        for line in check_model(model, self.settings.providers, self.timeout(_STEP_S)):
            say(f"ok {line}")


def _print_rows(rows: Iterator[tuple[str, str]]) -> None:
    for key, value in rows:
        if value:
            say(f"{key}: {value}")


def _compact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _rows(model: Model, in_force: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of each property of a model."""
    card = model.card
    for name in ("model_id", "version", "licence", "notice", "architecture"):
        yield name, getattr(card, name)
    for given in card.inputs:
        yield (
            f"input {given.name}",
            f"{given.segment_samples} samples at {given.sample_rate} Hz, {given.segment_s:g} s",
        )
    yield "output", f"{card.output_name}, {card.output_kind}"
    yield "crop", _crop(card)
    for name in ("placement", "down_mix", "level", "hum", "evidence"):
        yield name, getattr(card, name)
    yield "call", f"once a {card.call}"
    yield "aggregation", card.aggregation
    yield "thresholds", f"ai {card.thresholds.ai:g}, unsure {card.thresholds.unsure:g}"
    yield "in force", in_force
    rates = list(card.error_rates.items())
    yield "error_rates", _compact(dict(rates[:_MAX_RATES])) if rates else ""
    n_more = len(rates) - _MAX_RATES
    yield "further error rates", f"{n_more} in {CARD_FILE}" if n_more > 0 else ""
    yield "url", card.url
    yield "folder", str(model.folder)
    yield "size", f"{model.n_bytes:,} bytes, {model.n_bytes / 1e6:,.1f} MB"
    for name, sha256 in card.files.items():
        yield f"sha256 of {name}", sha256


def _crop(card: ModelCard) -> str:
    n_most = card.max_segments
    most = "" if n_most is None else f", {count_of(n_most, 'segment')} at most"
    return (
        f"{card.crop}{most}; shorter tracks are filled up ({card.padding}), "
        f"under {card.minimum_s:g} s not scored"
    )
