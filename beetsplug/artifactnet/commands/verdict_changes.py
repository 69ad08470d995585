"""What new thresholds change among the scores that a library holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from beets.library import Item, Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.library import Field
from beetsplug.artifactnet.results import Verdict
from beetsplug.artifactnet.scoring.version import model_of
from beetsplug.artifactnet.thresholds import Judge
from beetsplug.artifactnet.words import count_of

_MAX_ALBUMS = 10

Change = tuple[str, str]
"""Old and new verdict."""


@dataclass
class VerdictChanges:
    """The verdicts on a library's tracks by two pairs of thresholds."""

    before: Counter[str] = field(default_factory=Counter)
    """Tracks by verdict."""
    after: Counter[str] = field(default_factory=Counter)
    changes: Counter[Change] = field(default_factory=Counter)
    albums: dict[str, Counter[Change]] = field(default_factory=dict)
    """The changes by album."""

    def add(self, item: Item, before: str, after: str) -> None:
        """Count a track."""
        self.before[before] += 1
        self.after[after] += 1
        if before != after:
            self.changes[before, after] += 1
            self.albums.setdefault(_album(item), Counter())[before, after] += 1

    def lines(self) -> Iterator[str]:
        """Yield the verdicts before and after, what changes, and on which albums."""
        yield f"  your library: {count_of(self.before.total(), 'track')} scored by this model"
        yield from columns(
            (f"verdict {word.value}", str(self.before[word]), str(self.after[word]))
            for word in (Verdict.AI, Verdict.UNSURE, Verdict.REAL)
        )
        yield f"  changes of verdict: {_told(self.changes)}"
        by_size = sorted(self.albums.items(), key=lambda found: (-found[1].total(), found[0]))
        for album, changes in by_size[:_MAX_ALBUMS]:
            yield f"    {album}: {_told(changes)}"
        if len(by_size) > _MAX_ALBUMS:
            yield f"    and {count_of(len(by_size) - _MAX_ALBUMS, 'more album')}"


def columns(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Yield rows of a name, a value before and a value after, side by side."""
    for name, before, after in rows:
        yield f"  {name:<18}{before:>20}{after:>20}"


def _told(changes: Counter[Change]) -> str:
    told = (f"{n} from {old} to {new}" for (old, new), n in changes.most_common())
    return ", ".join(told) or "none"


def _album(item: Item) -> str:
    artist = item.get("albumartist") or item.get("artist") or "unknown artist"
    return f"{artist} - {item.get('album') or 'no album'}"


def verdict_changes(lib: Library, before: Judge, after: Judge) -> VerdictChanges:
    """Decide a model's stored scores by both pairs of thresholds, and store neither.

    Args:
        lib: Tracks with a score of another model are left out.
        before: The model, and the thresholds in force.
        after: The same model, and other thresholds.
    """
    found = VerdictChanges()
    for item in scored_items(lib):
        if model_of(str(library.own(item, Field.MODEL))) == model_of(before.model):
            found.add(item, _verdict(item, before), _verdict(item, after))
    return found


def _verdict(item: Item, judge: Judge) -> str:
    library.redecide(item, judge)
    return str(library.own(item, Field.VERDICT))


def scored_items(lib: Library) -> list[Item]:
    """Return the tracks that have a score."""
    return library.patiently(lambda: list(lib.items(f"{Field.SCORE}:..")))


def decide_anew(lib: Library, judge: Judge) -> int:
    """Store the verdicts that follow from these thresholds; return how many changed."""
    n_changed = 0
    for item in scored_items(lib):
        before = library.own(item, Field.VERDICT)
        if library.redecide(item, judge):
            library.store(item)
        n_changed += library.own(item, Field.VERDICT) != before
    return n_changed
