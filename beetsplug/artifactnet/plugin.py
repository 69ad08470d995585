"""The plugin: types, options, and what is done on which of beets' events."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import beets
import confuse
from beets.dbcore import types
from beets.library import Item, Library, parse_query_string
from beets.plugins import BeetsPlugin

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands import (
    aibench_command,
    aicalibrate_command,
    aimodel_command,
    artifactnet_command,
)
from beetsplug.artifactnet.commands.declarations import declaration_line, manifest_line
from beetsplug.artifactnet.commands.terminal import printable
from beetsplug.artifactnet.engine import Engine, make_engine
from beetsplug.artifactnet.errors import ArtifactNetError, ConfigError
from beetsplug.artifactnet.library import Field, Reason, State
from beetsplug.artifactnet.results import Outcome, Thresholds, TrackResult, Verdict
from beetsplug.artifactnet.settings import DEFAULTS, Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import ClassVar

    from beets.events import EventType
    from beets.importer import ImportSession, ImportTask
    from beets.library import Album
    from beets.logging import BeetsLogger
    from beets.ui import Subcommand


class ArtifactNetPlugin(BeetsPlugin):
    """Scores tracks at import and on command, and keeps what is stored consistent."""

    item_types: ClassVar[Mapping[str, types.Type]] = library.ITEM_TYPES
    album_types: ClassVar[Mapping[str, types.Type]] = library.ALBUM_TYPES

    def __init__(self) -> None:
        super().__init__("artifactnet")
        self.config.add(DEFAULTS)
        self.import_stages = [self.score_import]
        self.export_to_tags: bool | None = None
        """What the command line said of ``write``; None: what the configuration says."""
        self._fresh: set[int] = set()
        self._imported: set[int] = set()
        self._import_is_broken = False
        # What the core has to say goes where the plugin's own lines go.
        logging.getLogger(__package__).parent = self._log
        listeners: tuple[tuple[EventType, Callable[..., None]], ...] = (
            ("import_task_created", self.read_declarations),
            ("write", self.before_write),
            ("after_write", self.after_write),
            ("before_item_moved", self.before_move),
            ("item_moved", self.after_move),
            ("item_copied", self.after_copy),
            ("item_linked", self.after_copy),
            ("item_hardlinked", self.after_copy),
            ("item_reflinked", self.after_copy),
            ("database_change", self.follow_override),
            ("item_removed", self.after_removal),
            ("import", self.after_import),
        )
        for event, listener in listeners:
            # Not by register_listener(): it wraps a listener so that it must not run
            # while another function of the plugin runs, and the import stage does,
            # in a thread of its own, while the importer writes, moves and stores.
            self.listeners[event].append(listener)

    def commands(self) -> list[Subcommand]:
        """Return ``beet artifactnet``, ``aibench``, ``aicalibrate`` and ``aimodel``."""
        return [
            artifactnet_command(self),
            aibench_command(self.settings),
            aicalibrate_command(self.settings),
            aimodel_command(self),
        ]

    @property
    def log(self) -> BeetsLogger:
        """The plugin's logger."""
        return self._log

    def settings(self) -> Settings:
        """Return the options as they are now.

        Raises:
            ConfigError: An option is unknown or has a value that it cannot have.
        """
        return read_settings(
            self.config,
            Path(beets.config.config_dir()),
            Path(beets.config["directory"].as_filename()),
        )

    # At import.

    def read_declarations(self, task: ImportTask, **_: object) -> None:
        """Read what an import task's files say of themselves, before anything writes.

        As soon as the task is there: a tag writer spoils a manifest, and `convert` leaves
        nothing of any mark. It is stored with the items, where they are imported.
        """
        from beetsplug.artifactnet.scoring.provenance import read_claims

        # A sentinel and an archive have none.
        for item in task.items or ():
            library.add_claims(item, read_claims(library.item_path(item)))

    def _follow_declarations(self, task: ImportTask, settings: Settings) -> None:
        """Let declarations decide, whether or not the items are scored, and tell of them."""
        judge = library.Judge("", Thresholds(ai=1.0, unsure=1.0), settings.declared)
        for item in task.imported_items():
            if not library.is_declared(item):
                continue
            if library.redecide(item, judge):
                library.store(item)
            if not self._is_quiet(settings):
                self._log.warning("{}", declaration_line(item))

    @staticmethod
    def _is_quiet(settings: Settings) -> bool:
        return settings.quiet or bool(beets.config["import"]["quiet"].get(bool))

    def score_import(self, _session: ImportSession, task: ImportTask) -> None:
        """Score the items of an import task, and never stand in the import's way.

        An exception here would end the whole import and leave its files unmoved.
        """
        if self._import_is_broken:
            return
        try:
            settings = self.settings()
            self._follow_declarations(task, settings)
            if settings.auto:
                self._score_task(task, settings)
            if task.is_album:
                # Tracks that were scored before may have come to a new album.
                library.update_album(task.album)
        except ArtifactNetError as error:
            self._import_is_broken = True
            self._log.error("nothing is scored in this import: {}", printable(str(error)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the import goes on
            self._log.error("not scored: {!r}", error)

    def _score_task(self, task: ImportTask, settings: Settings) -> None:
        from beetsplug.artifactnet.workers import Cancelled

        engine = make_engine(settings)
        items = self._due_at_import(task, settings, engine)
        results = engine.score(
            [library.item_path(item) for item in items], is_cancelled=_import_was_aborted
        )
        try:
            for place, result in results:
                item = items[place]
                library.store_result(item, result, engine.judge)
                self._imported.add(int(item.id or 0))
                self._tell(item, result, settings)
        except Cancelled:
            self._log.debug("import aborted, scoring stopped")

    def _due_at_import(
        self, task: ImportTask, settings: Settings, engine: Engine
    ) -> Sequence[Item]:
        """Return the task's items that need a score and are not exempt."""
        exempt = _parse_query(settings.auto_ignore)
        return [
            item
            for item in task.imported_items()
            if (settings.force or library.state(item, engine.judge.model) is not State.FRESH)
            and not (exempt is not None and exempt.match(item))
        ]

    def _tell(self, item: Item, result: TrackResult, settings: Settings) -> None:
        """Warn of a failure; say what was flagged, unless the user wants quiet."""
        # Declarations were told of before.
        quiet = self._is_quiet(settings) or library.own(item, Field.REASON) == Reason.DECLARED
        verdict = library.own(item, Field.VERDICT)
        if result.outcome is not Outcome.SCORED:
            self._log.warning("not scored: {}", printable(f"{item.filepath}: {result.detail}"))
        elif verdict != Verdict.REAL.value and not quiet:
            score = library.own(item, Field.SCORE)
            self._log.warning("{} {:.4f} {}", verdict, score, printable(str(item.filepath)))

    def after_import(self, lib: Library, **_: object) -> None:
        """Take what the import did to its files for known, other plugins' work included."""
        for item_id in sorted(self._imported):
            item = lib.get_item(item_id)
            if item is not None and library.restamp(item, library.item_path(item)):
                item.store()
        self._imported.clear()
        self._import_is_broken = False

    # Around beets' own changes to files: none of them makes a score stale.

    def before_write(self, item: Item, path: bytes, tags: dict[str, Any]) -> None:
        """Remember a file that is as it was scored; add the score to its tags."""
        self._remember(item, path)
        if self._exports_to_tags() and self._may_tag(item, _path(path)):
            _add_media_fields()
            tags.update(_tags(item))

    def _may_tag(self, item: Item, path: Path) -> bool:
        """Tell whether our tags may go into a file; say what becomes of its manifest."""
        if not _tags(item) or not library.carries_manifest(item, path):
            return True
        keeps = self._keeps_signed()
        self._log.warning("{}", manifest_line(path, keeps=keeps))
        return not keeps

    def after_write(self, item: Item, path: bytes) -> None:
        """Take beets' own tag writing for no change of the audio."""
        if path == item.path:
            self._restamp_remembered(item, path)

    def before_move(self, item: Item, source: bytes, **_: object) -> None:
        """Remember a file that is as it was scored."""
        self._remember(item, source)

    def after_move(self, item: Item, destination: bytes, **_: object) -> None:
        """Follow the file."""
        self._restamp_remembered(item, destination)

    def after_copy(self, item: Item, source: bytes, destination: bytes) -> None:
        """Follow the copy."""
        self._remember(item, source)
        self._restamp_remembered(item, destination)

    def _remember(self, item: Item, path: bytes) -> None:
        stamp = library.own(item, Field.FILE)
        if stamp is not None and stamp == library.file_stamp(_path(path)):
            self._fresh.add(id(item))
        else:
            # A write or move that failed may have left this one, or another at its place.
            self._fresh.discard(id(item))

    def _restamp_remembered(self, item: Item, path: bytes) -> None:
        if id(item) in self._fresh:
            self._fresh.discard(id(item))
            library.restamp(item, _path(path))

    def _exports_to_tags(self) -> bool:
        if self.export_to_tags is not None:
            return self.export_to_tags
        try:
            return self.config["write"].get() is True
        except confuse.ConfigError:
            # `beet write` must work with a broken section.
            return False

    def _keeps_signed(self) -> bool:
        try:
            return self.config["keep_signed"].get() is not False
        except confuse.ConfigError:
            return True

    # Consistency.

    def follow_override(self, model: Item | Album, **_: object) -> None:
        """Let an override decide the verdict as soon as it is set or removed."""
        if not isinstance(model, Item):
            return
        if not any(
            library.own(model, f) for f in (Field.OVERRIDE, Field.VERDICT, Field.PROVENANCE)
        ):
            return
        try:
            changed = library.redecide(model, make_engine(self.settings()).judge)
        except (ArtifactNetError, ValueError) as error:
            # `beet modify` must work with a broken section; the command will say so.
            self._log.debug("verdict left as it is: {}", error)
            return
        if changed:
            model.store()
            library.update_album_of(model)

    def after_removal(self, item: Item) -> None:
        """Count an album's flagged tracks again when one of its tracks goes."""
        if library.own(item, Field.VERDICT) is not None:
            library.update_album_of(item)


def _path(path: bytes) -> Path:
    from beets.util import syspath

    return Path(syspath(path))


def _import_was_aborted() -> bool:
    """Tell whether beets has told this import stage's thread to end.

    beets joins a stage's thread on Ctrl-C, and waits for the stage to return.
    """
    return bool(getattr(threading.current_thread(), "abort_flag", False))


def _parse_query(text: str) -> Any:
    """Return the query of ``auto_ignore``, None where there is none."""
    from beets.dbcore.query import ParsingError

    if not text.strip():
        return None
    try:
        return parse_query_string(text, Item)[0]
    except ParsingError as error:
        raise ConfigError(f"artifactnet.auto_ignore: {error}") from error


def _tags(item: Item) -> dict[str, float | str]:
    """Return what ``write: yes`` adds to a file's tags: nothing for an unscored one."""
    score = library.own(item, Field.SCORE)
    verdict = library.own(item, Field.VERDICT)
    if not isinstance(score, float) or not isinstance(verdict, str):
        return {}
    return {Field.SCORE: score, Field.VERDICT: verdict}


def _add_media_fields() -> None:
    """Teach MediaFile the two tags, without teaching beets to read them back.

    Were they media fields of beets' items, ``beet update`` would overwrite scores with
    what a file says, and with 0.0 where it says nothing.
    """
    import mediafile

    for name, kind in ((Field.SCORE, float), (Field.VERDICT, str)):
        # Not by hasattr(): a MediaField has no value on the class.
        if name in vars(mediafile.MediaFile):
            continue
        tag = name.upper()
        mediafile.MediaFile.add_field(
            name,
            mediafile.MediaField(
                mediafile.MP3DescStorageStyle(tag, float_places=4),
                mediafile.MP4StorageStyle(f"----:com.apple.iTunes:{tag}", float_places=4),
                mediafile.StorageStyle(tag, float_places=4),
                mediafile.ASFStorageStyle(tag, float_places=4),
                out_type=kind,
            ),
        )
