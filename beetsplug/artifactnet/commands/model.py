"""``beet aimodel``: which models there are; installing, removing and trying them out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from beets import ui
from beets.dbcore.query import SubstringQuery
from beets.exceptions import UserError
from beets.library import Library

from beetsplug.artifactnet.commands.terminal import count_of, guarded, printable
from beetsplug.artifactnet.errors import ConfigError, ModelError
from beetsplug.artifactnet.library import Field
from beetsplug.artifactnet.models.card import (
    CARD_FILE,
    ModelCard,
    read_card,
    read_card_values,
)
from beetsplug.artifactnet.models.catalogue import KNOWN_MODELS, KnownModel
from beetsplug.artifactnet.models.store import (
    BUNDLED_MODELS,
    DEFAULT_MODEL,
    Model,
    find_model,
    model_ids,
)
from beetsplug.artifactnet.scoring.version import model_of

if TYPE_CHECKING:
    from beetsplug.artifactnet.installing.install import Fetch
    from beetsplug.artifactnet.plugin import ArtifactNetPlugin
    from beetsplug.artifactnet.settings import Settings

_TIMEOUT_S = 30.0
_MAX_TIMEOUT_S = 86_400.0
_Row = tuple[str, str, str]
"""Id, state, and what else there is to say of a model."""
_USAGE = "list | show ID | install ID | install PATH.onnx --card CARD | remove ID | check [ID]"


class Options(Protocol):
    """The command's options, as optparse gives them."""

    card: str | None
    source: str | None
    base_url: str | None
    accept_licence: bool
    force: bool
    timeout: float
    yes: bool


def aimodel_command(plugin: ArtifactNetPlugin) -> ui.Subcommand:
    """Return the command, bound to its plugin."""
    command = ui.Subcommand("aimodel", help="list, install, remove and check models")
    parser = command.parser
    parser.set_usage(f"%prog {_USAGE}")
    parser.add_option(
        "--card", metavar="CARD", help="install: the card.json of one's own model"
    )
    parser.add_option(
        "--from", dest="source", metavar="DIR", help="install: files downloaded by hand"
    )
    parser.add_option("--base-url", metavar="URL", help="install: a mirror of the files")
    parser.add_option(
        "--accept-licence",
        action="store_true",
        default=False,
        help="install: accept the model's licence without being asked",
    )
    parser.add_option(
        "-f",
        "--force",
        action="store_true",
        default=False,
        help="install: replace what is installed",
    )
    parser.add_option(
        "--timeout",
        type="float",
        default=_TIMEOUT_S,
        metavar="SECONDS",
        help=f"install: give up after so long without a byte ({_TIMEOUT_S:g})",
    )
    parser.add_option(
        "-y", "--yes", action="store_true", default=False, help="remove: do not ask"
    )

    @guarded
    def run(lib: Library, opts: Options, args: list[str]) -> None:
        _Run(plugin, lib, opts).run(args)

    command.func = run
    return command


class _Run:
    """One call of the command."""

    def __init__(self, plugin: ArtifactNetPlugin, lib: Library, opts: Options) -> None:
        self.lib, self.opts = lib, opts
        self.settings: Settings = plugin.settings()
        (self.models,) = self.settings.model_folders

    def run(self, args: list[str]) -> None:
        actions: dict[str, tuple[Callable[..., None], int, int]] = {
            "list": (self.list, 0, 0),
            "show": (self.show, 1, 1),
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
            ui.print_(printable(f"{mark} {model_id:<{width}}  {state:<13}  {text}"))

    def bundled(self) -> Iterator[_Row]:
        for model_id in model_ids((BUNDLED_MODELS,)):
            card = read_card(BUNDLED_MODELS / model_id / CARD_FILE)
            yield model_id, "bundled", f"{card.version}, {card.licence}"

    def present(self) -> Iterator[_Row]:
        from beetsplug.artifactnet.installing.install import installed_models

        for entry in installed_models(self.models):
            if entry.model is None:
                yield entry.model_id, "broken", entry.problem
            else:
                card = entry.model.card
                yield entry.model_id, "installed", f"{card.version}, {card.licence}"

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

    def show(self, name: str) -> None:
        """Print a model's card."""
        known = KNOWN_MODELS.get(name)
        if known is not None and not (self.models / name).exists():
            rows = {**known.card, "how to get it": known.how}
            _print_rows((key, _compact(value)) for key, value in rows.items())
            return
        _print_rows(_rows(self.find(name)))

    # Installing.

    def install(self, name: str) -> None:
        """Install a known model by its id, or one's own by its path."""
        if not 0 < self.opts.timeout <= _MAX_TIMEOUT_S:
            raise ConfigError(f"--timeout is {self.opts.timeout:g}, it must be above 0 seconds")
        if name.endswith(".onnx"):
            self.install_own(Path(os.path.expanduser(name)))  # noqa: PTH111 - leaves ~unknown
        elif self.opts.card is not None:
            raise UserError("--card describes a PATH.onnx, and there is none")
        else:
            self.install_known(name)

    def install_known(self, name: str) -> None:
        from beetsplug.artifactnet.installing.download import Limits
        from beetsplug.artifactnet.installing.install import from_folder, from_url

        known = KNOWN_MODELS.get(name)
        if known is None:
            raise UserError(
                f"artifactnet: {printable(name)!r} is no model that is known here: "
                f"`beet aimodel list` names them, `install PATH.onnx --card CARD` takes others"
            )
        if not known.files:
            raise UserError(f"artifactnet: {name} cannot be downloaded: {known.how}")
        if (self.models / name).exists() and not self.opts.force:
            ui.print_(f"{name} is installed already; --force installs it anew")
            return
        if self.opts.source is not None and self.opts.base_url is not None:
            raise UserError("--from and --base-url exclude each other")
        if self.opts.source is not None:
            fetch = from_folder(Path(self.opts.source).expanduser(), known.files)
        else:
            limits = Limits(max_bytes=known.max_bytes, timeout_s=self.opts.timeout)
            address = self.opts.base_url or known.base_url
            fetch = from_url(address, known.files, limits, progress=_is_terminal())
        self.install_card(known.card, fetch, name, known)

    def install_own(self, graph: Path) -> None:
        from beetsplug.artifactnet.installing.install import from_graph

        if self.opts.card is None:
            raise UserError("a model of one's own needs its card: --card CARD.json")
        if self.opts.source is not None or self.opts.base_url is not None:
            raise UserError("--from and --base-url are for models that are known here")
        known = KNOWN_MODELS.get(self.opts.card)
        if known is not None and known.is_complete:
            values: Any = known.card
        else:
            values = read_card_values(Path(self.opts.card).expanduser())
        files = values.get("files") if isinstance(values, dict) else None
        fetch = from_graph(graph, files if isinstance(files, dict) else ())
        self.install_card(values, fetch, self.opts.card, known)

    def install_card(
        self, values: Mapping[str, Any], fetch: Fetch, origin: str, known: KnownModel | None
    ) -> None:
        from beetsplug.artifactnet.installing.check import model_bytes
        from beetsplug.artifactnet.installing.install import check_new, install

        # Before anybody is asked, and before anything is fetched.
        check_new(values, self.models, origin=origin, replaces=self.opts.force)
        for key in ("licence", "notice"):
            if values.get(key):
                ui.print_(printable(f"{key}: {values[key]}"))
        if known is not None and known.needs_consent and not self.opts.accept_licence:
            _ask("Accept this licence?", "accept it with --accept-licence")
        model = install(values, fetch, self.models, origin=origin, replaces=self.opts.force)
        ui.print_(
            printable(
                f"installed {model.card.label} ({model_bytes(model) / 1e6:,.1f} MB) "
                f"in {model.folder}; `model: {model.card.model_id}` puts it to use"
            )
        )

    # Removing and trying out.

    def remove(self, model_id: str) -> None:
        """Remove an installed model; scores that it gave stay."""
        from beetsplug.artifactnet.installing.install import installed_folder, remove

        folder = installed_folder(model_id, self.models)
        for line in self.consequences(model_id, folder):
            ui.print_(printable(line))
        if not self.opts.yes:
            _ask(f"Remove {printable(str(folder))}?", "confirm with --yes")
        remove(model_id, self.models)
        ui.print_(printable(f"removed {model_id}"))

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
        ui.print_(printable(f"ok card: {model.card.label} in {model.folder}"))
        for line in check_model(model, self.settings.providers):
            ui.print_(printable(f"ok {line}"))


def _is_terminal() -> bool:
    return sys.stdout.isatty() and sys.stderr.isatty()


def _ask(question: str, instead: str) -> None:
    """Go on if the user says yes.

    Raises:
        UserError: The user says no, or cannot be asked.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise UserError(f"artifactnet: there is no terminal to ask on: {instead}")
    if not ui.input_yn(question, require=True):
        raise UserError("artifactnet: nothing was changed")


def _print_rows(rows: Iterator[tuple[str, str]]) -> None:
    for key, value in rows:
        if value:
            ui.print_(printable(f"{key}: {value}"))


def _compact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _rows(model: Model) -> Iterator[tuple[str, str]]:
    """Yield name and value of what is known of a model that is there."""
    from beetsplug.artifactnet.installing.check import model_bytes

    card = model.card
    yield "model_id", card.model_id
    yield "version", card.version
    yield "licence", card.licence
    yield "notice", card.notice
    yield "architecture", card.architecture
    for given in card.inputs:
        yield (
            f"input {given.name}",
            f"{given.segment_samples} samples at {given.sample_rate} Hz, {given.segment_s:g} s",
        )
    yield "output", f"{card.output_name}, {card.output_kind}"
    yield "crop", _crop(card)
    yield "placement", card.placement
    yield "down_mix", card.down_mix
    yield "level", card.level
    yield "hum", card.hum
    yield "evidence", card.evidence
    yield "call", f"once a {card.call}"
    yield "aggregation", card.aggregation
    yield "thresholds", f"ai {card.thresholds.ai:g}, unsure {card.thresholds.unsure:g}"
    yield "error_rates", _compact(card.error_rates) if card.error_rates else ""
    yield "url", card.url
    yield "folder", str(model.folder)
    n_bytes = model_bytes(model)
    yield "size", f"{n_bytes:,} bytes, {n_bytes / 1e6:,.1f} MB"
    for name, sha256 in card.files.items():
        yield f"sha256 of {name}", sha256


def _crop(card: ModelCard) -> str:
    most = (
        ""
        if card.max_segments is None
        else f", {count_of(card.max_segments, 'segment')} at most"
    )
    return (
        f"{card.crop}{most}; shorter tracks are filled up ({card.padding}), "
        f"under {card.minimum_s:g} s not scored"
    )
