"""The plugin: types, options, and what is done on which of beets' events."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import beets
import confuse
from beets.dbcore import types
from beets.library import Album, Item, Library
from beets.plugins import BeetsPlugin
from beets.util import syspath

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.bench import aibench_command
from beetsplug.artifactnet.commands.calibrate import aicalibrate_command
from beetsplug.artifactnet.commands.declarations import may_tag
from beetsplug.artifactnet.commands.imports import ImportScoring
from beetsplug.artifactnet.commands.model import aimodel_command
from beetsplug.artifactnet.commands.report import aireport_command
from beetsplug.artifactnet.commands.review import aireview_command
from beetsplug.artifactnet.commands.score import artifactnet_command
from beetsplug.artifactnet.commands.terminal import album_title
from beetsplug.artifactnet.engine import make_engine
from beetsplug.artifactnet.errors import ArtifactNetError
from beetsplug.artifactnet.library import Field
from beetsplug.artifactnet.settings import DEFAULTS, Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import ClassVar

    from beets.events import EventType
    from beets.importer import ImportSession, ImportTask
    from beets.logging import BeetsLogger
    from beets.ui import Subcommand

    from beetsplug.artifactnet.commands.import_action import ImportAction


class ArtifactNetPlugin(BeetsPlugin):
    """Scores tracks at import and on command, and keeps what is stored consistent."""

    item_types: ClassVar[Mapping[str, types.Type]] = library.ITEM_TYPES
    album_types: ClassVar[Mapping[str, types.Type]] = library.ALBUM_TYPES

    def __init__(self) -> None:
        super().__init__("artifactnet")
        self.config.add(DEFAULTS)
        self.import_stages = [self.score_import]
        self._import = ImportScoring(self.settings, self._log)
        self._album_overrides = library.AlbumOverrides()
        self._show_fields()
        # What the core has to say goes where the plugin's own lines go.
        logging.getLogger(__package__).parent = self._log
        listeners: tuple[tuple[EventType, Callable[..., None]], ...] = (
            ("import_task_created", self.before_task),
            ("import_task_start", self.before_choice),
            ("write", self.before_write),
            ("database_change", self.follow_override),
            ("item_removed", self.after_removal),
            ("import_begin", self.before_import),
            ("import", self.after_import),
        )
        for event, listener in listeners:
            # Not by register_listener(): it wraps a listener so that it must not run
            # while another function of the plugin runs, and the import stage does,
            # in a thread of its own, while the importer writes, moves and stores.
            self.listeners[event].append(listener)

    def _show_fields(self) -> None:
        """Have formats show an unscored track's fields as empty, and sort it last."""
        fields = (
            (Item, library.ITEM_TYPES, self.template_fields),
            (Album, library.ALBUM_TYPES, self.album_template_fields),
        )
        for model, field_types, template_fields in fields:
            # Not the user's own words: beets takes an album's fields from its tracks again
            # where the album loses them, and fails at a computed one.
            words = {Field.OVERRIDE, Field.OVERRIDE_NOTE}
            names = [name for name in field_types if name not in words]
            template_fields.update({name: library.stored_value(name) for name in names})
            library.sort_unscored_last(model, [*field_types])

    def commands(self) -> list[Subcommand]:
        """Return the commands."""
        return [
            artifactnet_command(self.settings, self._log),
            aibench_command(self.settings),
            aicalibrate_command(self.settings),
            aimodel_command(self),
            aireport_command(self.settings),
            aireview_command(self.settings, self._log),
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

    def before_import(self, **_: object) -> None:
        """Refuse values of ours that ``--set`` and ``set_fields`` cannot set.

        Raises:
            UserError: There is one. Later it would stop the import half-way.
        """
        library.Refusal.ends_the_command = True
        for name, view in beets.config["import"]["set_fields"].items():
            value = str(view.get())
            field_type = {**library.ITEM_TYPES, **library.ALBUM_TYPES}.get(name)
            # What a template comes to is known with each item alone.
            if field_type is not None and not set(value) & {"$", "%"}:
                field_type.parse(value)
        library.Refusal.ends_the_command = False

    @cached_property
    def _import_action(self) -> ImportAction:
        # beets' importer comes with it, and NumPy with that: no other command needs them.
        from beetsplug.artifactnet.commands.import_action import ImportAction

        return ImportAction(self._import, self.settings, self._log)

    def before_task(self, session: ImportSession, task: ImportTask, **_: object) -> None:
        """Read what a task's files say, and decide before its choice what is imported."""
        self._read_declarations(task)
        self._import_action.watch(session, task)

    def before_choice(self, task: ImportTask, **_: object) -> None:
        """Score what a decision will be asked for, while beets asks about other tasks."""
        self._import_action.score_early(task)

    def _read_declarations(self, task: ImportTask) -> None:
        """Read what an import task's files say of themselves, before anything writes.

        As soon as the task is there: a tag writer spoils a manifest, and `convert` leaves
        nothing of any mark. It is stored with the items, where they are imported.
        """
        from beetsplug.artifactnet.scoring.provenance import read_claims

        self._import.prepare(task)
        # A sentinel and an archive have none.
        for item in task.items or ():
            # What cannot be read now is read when it is scored.
            with suppress(OSError, MemoryError):
                library.add_claims(item, read_claims(library.item_path(item)))

    def score_import(self, _session: ImportSession, task: ImportTask) -> None:
        """Score the items of an import task."""
        self._import.score(task)

    def after_import(self, lib: Library, **_: object) -> None:
        """Say what a quiet import found."""
        library.Refusal.ends_the_command = True
        self._import.finish(lib)
        self._import_action.forget()

    # Tags.

    def before_write(self, item: Item, path: bytes, tags: dict[str, Any]) -> None:
        """Add score and verdict to what beets is about to write, with ``write: yes``."""
        try:
            is_exported = self.config["write"].get() is True
            keeps = self.config["keep_signed"].get() is not False
        except confuse.ConfigError:
            # `beet write` must work with a broken section.
            return
        file = Path(os.fsdecode(syspath(path)))
        if is_exported and may_tag(item, file, self._log, keeps=keeps):
            tags.update(library.score_tags(item))

    # Consistency.

    def follow_override(self, model: Item | Album, **_: object) -> None:
        """Let an override decide the verdict as soon as it is set or removed."""
        if isinstance(model, Item):
            self._follow_item(model)
        elif isinstance(model, Album):
            self._album_overrides.album_stored(model)

    def _follow_item(self, item: Item) -> None:
        fields = (
            *(Field.OVERRIDE, Field.OVERRIDE_FROM, Field.OVERRIDE_DATE, Field.OVERRIDE_NOTE),
            *(Field.VERDICT, Field.PROVENANCE),
        )
        is_handed_down = self._album_overrides.is_running(item.album_id)
        if not is_handed_down and not any(library.own(item, name) for name in fields):
            return
        before = library.word_of(item)
        done = self._album_overrides.item_stored(item)
        if self._redecide(item) or before != library.word_of(item):
            library.store(item)
        if done:
            album = item.get_album()
            name = "" if album is None else album_title(album, item)
            self._log.info("ai_override of {}: tracks: {}", name, done)

    def _redecide(self, item: Item) -> bool:
        try:
            return library.redecide(item, make_engine(self.settings()).judge)
        except (ArtifactNetError, ValueError) as error:
            # `beet modify` must work with a broken section; the command will say so.
            self._log.debug("verdict left as it is: {}", error)
            return False

    def after_removal(self, item: Item) -> None:
        """Count an album's flagged tracks again when one of its tracks goes."""
        if library.own(item, Field.VERDICT) is not None:
            library.update_album_of(item)
