"""What the page of ``beet aireport`` shows beside the tracks themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from beets.library import Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.audio.clips import (
    CLIP_S,
    CLIP_TYPE,
    Clip,
    Place,
    cut_clip,
    is_played,
)
from beetsplug.artifactnet.commands.interrupts import interrupts
from beetsplug.artifactnet.commands.terminal import Progress
from beetsplug.artifactnet.engine import Engine
from beetsplug.artifactnet.library import Cause, Change, Reason
from beetsplug.artifactnet.report.accusations import accusation_notes
from beetsplug.artifactnet.report.drawings import Spectrum, draw_spectrum
from beetsplug.artifactnet.report.page import Facts, Findings, Sound, tracks_page
from beetsplug.artifactnet.report.tracks import Track, suspects_first
from beetsplug.artifactnet.thresholds import false_positives
from beetsplug.artifactnet.words import count_of, day
from beetsplug.artifactnet.workers import Lost, run_each

if TYPE_CHECKING:
    from beetsplug.artifactnet.scoring.pipeline import Lines

Job = TypeVar("Job")
Found = TypeVar("Found")

_MOST_SHOWN = 500
"""Suspects that a page shows in detail, the most suspicious ones."""
_MOST_CLIPS = 200
"""Clips of 0.1 MB that a page holds; browsers play pages of 60 MB at least."""
_MOST_CHANGES = 1_000
_LEAD_S = 1.0
"""How much earlier than the segment that speaks loudest a clip begins."""
_NOT_PLAYED = "Browsers do not play this file; this is a clip of it."


@dataclass(frozen=True)
class Page:
    """The page of some tracks.

    Args:
        lib: The library, which knows what has changed.
        engine: The model, thresholds and workers.
        opts: The command's options.
    """

    lib: Library
    engine: Engine
    opts: Values

    def of(
        self,
        tracks: Sequence[Track],
        codecs: Mapping[int, str],
        query: str,
        since: float | None,
    ) -> str:
        """Return the page of these tracks.

        Args:
            tracks: In any order.
            codecs: What their files are encoded as, by id.
            query: What found them.
            since: Changes from then on are shown, seconds since 1970; None: none are.

        Raises:
            MachineError: The machine is in trouble.
            MissingPackageError: jinja2 is not installed.
        """
        suspects = [track for track in suspects_first(tracks) if track.is_suspect]
        findings = self._findings(suspects[:_MOST_SHOWN], codecs)
        judge = self.engine.judge
        facts = Facts(
            query=query,
            date=f"{datetime.now():%Y-%m-%d %H:%M}",
            model=judge.model,
            segment_s=self.engine.model.card.inputs[0].segment_s,
            thresholds=judge.thresholds,
            notes=tuple(_notes(tracks, self.engine)),
        )
        if since is not None:
            facts = _with_changes(facts, self.lib, tracks, since)
        return tracks_page(tracks, findings, facts)

    def _findings(
        self, suspects: Sequence[Track], codecs: Mapping[int, str]
    ) -> dict[int, Findings]:
        """Return what a page shows of each suspect, by its id."""
        sounds: dict[int, Sound] = {}
        places: dict[int, Place] = {}
        for track in suspects:
            item_id, path = track.id or 0, Path(track.path)
            if not path.is_file():
                sounds[item_id] = Sound(note="The file is not there.")
            elif not self.opts.embed and is_played(path, codecs.get(item_id, "")):
                sounds[item_id] = Sound.of_file(path)
            elif len(places) < _MOST_CLIPS:
                places[item_id] = Place(path, _loudest_s(track))
            else:
                sounds[item_id] = Sound(note=f"The page has room for {_MOST_CLIPS} clips.")
        for item_id, clip in self._in_workers(cut_clip, places, "cutting").items():
            sounds[item_id] = _sound_of(clip, embeds=self.opts.embed)
        spectra = self._spectra(suspects) if self.opts.pictures else {}
        return {
            item_id: Findings(sound, *spectra.get(item_id, (None, "")))
            for item_id, sound in sounds.items()
        }

    def _spectra(self, suspects: Sequence[Track]) -> dict[int, tuple[Spectrum | None, str]]:
        """Return each suspect's spectrum, or why there is none, by its id."""
        from beetsplug.artifactnet.scoring.detector import shared_detector
        from beetsplug.artifactnet.scoring.pipeline import LinesJob, file_lines

        model, settings = self.engine.model, self.engine.settings
        if not model.card.lines_output:
            reason = f"There is no spectrum: {model.card.label} does not give its lines."
            return {track.id or 0: (None, reason) for track in suspects}
        detector = shared_detector(model, settings.providers)
        jobs = {
            track.id or 0: LinesJob(Path(track.path), detector, settings.segments)
            for track in suspects
        }
        found = self._in_workers(file_lines, jobs, "drawing")
        return {item_id: _spectrum_of(lines) for item_id, lines in found.items()}

    def _in_workers(
        self, function: Callable[[Job], Found], jobs: Mapping[int, Job], verb: str
    ) -> dict[int, Found | Lost]:
        """Return what a function makes of each job, in processes that decode and may crash."""
        if not jobs:
            return {}
        ids = list(jobs)
        found: dict[int, Found | Lost] = {}
        results = run_each(
            function,
            jobs.values(),
            self.engine.workers(self.opts.threads),
            time_limit_s=self.engine.settings.time_limit_s,
            is_cancelled=interrupts.is_pending,
        )
        progress = Progress(len(ids), quiet=self.opts.quiet, verb=verb)
        try:
            with interrupts.deferred(), closing(results):
                for place, _, result in results:
                    found[ids[place]] = result
                    progress.show(len(found))
        finally:
            progress.clear()
        return found


def _notes(tracks: Sequence[Track], engine: Engine) -> list[str]:
    model, card = engine.judge.model, engine.model.card
    path = engine.settings.thresholds_file
    rates = false_positives(engine.in_force, path, card.label, card.error_rates)
    decided = [t for t in tracks if t.model == model and t.reason == Reason.SCORE.value]
    notes = [*accusation_notes(decided, engine.in_force, rates)]
    n_others = sum(track.model not in {None, model} for track in tracks)
    if n_others:
        notes.append(
            f"{count_of(n_others, 'score')} of other models or versions; "
            f"beet ai --outdated brings them up to date."
        )
    return notes


# What has changed.


def _with_changes(facts: Facts, lib: Library, tracks: Sequence[Track], since: float) -> Facts:
    by_id = {track.id: track for track in tracks if track.id is not None}
    found = [
        change
        for item_id, entries in library.read_histories(lib, by_id, since).items()
        for change in library.changes_of(item_id, entries, since)
    ]
    found.sort(key=lambda change: -change.date)
    return replace(
        facts,
        since=day(since),
        change_lines=(*library.summary_lines(found), *_other_changes(found)),
        changes=tuple(
            (by_id[change.item_id].name, day(change.date), _told(change), change.cause.value)
            for change in found
            if _is_listed(change)
        )[:_MOST_CHANGES],
    )


def _is_listed(change: Change) -> bool:
    """Tell whether a change is worth a row: of a verdict, or by the user."""
    return change.is_of_verdict or change.cause is Cause.OVERRIDE


def _other_changes(found: Sequence[Change]) -> Iterator[str]:
    """Yield what the changes without a row were, and how many tracks had them."""
    tracks = {
        (change.cause.value, change.before.verdict is not None, change.item_id)
        for change in found
        if not _is_listed(change)
    }
    counts = Counter((cause, had_verdict) for cause, had_verdict, _ in tracks)
    for (cause, had_verdict), n_tracks in counts.most_common():
        rest = ", with the same verdict" if had_verdict else ""
        yield f"{count_of(n_tracks, 'track')}: {cause}{rest}"


def _told(change: Change) -> str:
    before, after = (
        " ".join(
            part
            for part in (
                decision.verdict or "",
                "" if decision.score is None else f"{decision.score:.4f}",
            )
            if part
        )
        or "not scored"
        for decision in (change.before, change.after)
    )
    return f"{before} \u2192 {after}"


# Sound and spectra.


def _loudest_s(track: Track) -> float:
    """Return where a clip begins: shortly before the segment that speaks loudest."""
    if not track.timeline:
        return 0.0
    loudest = max(track.timeline, key=lambda segment: segment.probability)
    return max(0.0, loudest.start_s - _LEAD_S)


def _sound_of(clip: Clip | str | Lost, *, embeds: bool) -> Sound:
    if isinstance(clip, Clip):
        sound = Sound.of_clip(clip.data, CLIP_TYPE, clip.start_s, CLIP_S)
        return sound if embeds else replace(sound, note=_NOT_PLAYED)
    return Sound(note=f"There is no clip: {clip}.")


def _spectrum_of(lines: Lines | str | Lost) -> tuple[Spectrum | None, str]:
    if isinstance(lines, (str, Lost)):
        return None, f"There is no spectrum: {lines}."
    spacing_hz = None if lines.comb is None else lines.comb.spacing_hz
    return draw_spectrum(lines.levels_db, lines.bin_hz, spacing_hz), ""
