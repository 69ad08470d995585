"""Types of the flexible attributes: empty where there is no value, and not for editing.

Beets' own types read a missing number as 0, which here would be "certainly human". And
they take whatever is typed: ``0,8`` becomes 0.0.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

from beets.dbcore import query, types
from beets.dbcore.db import AnyModel, Model
from beets.dbcore.sort import FieldSort, SlowFieldSort
from beets.exceptions import UserError

from beetsplug.artifactnet.results import Verdict

log = logging.getLogger("beetsplug.artifactnet")

WORDS = {"human": Verdict.REAL, "real": Verdict.REAL, "ai": Verdict.AI}
"""What an override may be, in any case, and the verdict that it is."""

_REMEMBERED = 100_000
_LAST_DATE = 253_400_000_000.0
"""In December 9999, seconds since 1970: in no time zone is it the year 10000."""


class Refusal:
    """Whether a value that nobody may set ends the command that tries to.

    Within an import it must not: rows would be left that point to files not yet copied.
    """

    ends_the_command = True


def refuse(message: str) -> None:
    """End the command with one line; in an import go on without the value.

    Raises:
        UserError: No import is running.
    """
    if Refusal.ends_the_command:
        raise UserError(f"artifactnet: {message}")
    log.warning("%s; left out", message)


class _IfPresent:
    """A query that does not match where there is no value."""

    def match(self, obj: Model) -> bool:
        """Tell whether a model has the field, and it matches."""
        field_name = cast("query.FieldQuery[Any]", self).field_name
        if obj.get(field_name) is None:
            return False
        return bool(super().match(obj))  # type: ignore[misc]


class NumberQuery(_IfPresent, query.NumericQuery):
    """A number or a range of them."""


class DateQuery(_IfPresent, query.DateQuery):
    """A date or a range of them."""


class _Absent:
    """A type whose value is None where there is none."""

    @property
    def null(self) -> Any:
        """No value."""
        return None


class _SetByScoring(_Absent):
    """A type whose values come from scoring alone: nobody types them in.

    ``beet edit`` formats every field, and parses those that it has formatted; what comes
    back unchanged is no edit.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._formatted: dict[str, Any] = {}

    def format(self, value: Any) -> str:
        """Return a value for the user to read, nothing for no value."""
        if value is None or value == "":
            return ""
        text = str(super().format(value))  # type: ignore[misc]
        if len(self._formatted) >= _REMEMBERED:
            self._formatted.clear()
        self._formatted[text] = value
        return text

    def parse(self, string: str) -> Any:
        """Refuse what somebody typed.

        Raises:
            UserError: Always, but within an import, and for values that were formatted before.
        """
        if string in self._formatted:
            return self._formatted[string]
        refuse(
            f"{string!r} cannot be set: this field is what scoring found. "
            f"Your own word is ai_override=human or ai_override=ai"
        )
        return None

    def from_sql(self, sql_value: Any) -> Any:
        """Return what the database has, None where that is no value of this type."""
        value = sql_value
        if isinstance(value, (bytes, memoryview)):
            value = bytes(value).decode("utf-8", "ignore")
        try:
            read = None if value is None else cast("types.Type", self).model_type(value)
        except (ValueError, OverflowError):
            return None
        # No score is NaN or infinite, and neither has a place in JSON.
        return None if isinstance(read, float) and not math.isfinite(read) else read


class Number(_SetByScoring, types.NullFloat):
    """A number with a fixed number of decimals."""

    query = NumberQuery


class Count(_SetByScoring, types.NullInteger):
    """A whole number."""

    query = NumberQuery


class Date(_SetByScoring, types.DateType):
    """A time in seconds since 1970."""

    query = DateQuery

    def from_sql(self, sql_value: Any) -> Any:
        """Return what the database has, None where no calendar has that time."""
        value = super().from_sql(sql_value)
        return value if value is not None and 0 <= value < _LAST_DATE else None


class Text(_SetByScoring, types.String):
    """A text."""


class Flag(_SetByScoring, types.Boolean):
    """A flag that is there and ``yes``, or absent."""

    def format(self, value: Any) -> str:
        """Return ``yes`` for a flag that is set."""
        text = "yes" if value else ""
        self._formatted[text] = value
        return text


class OverrideWord(_Absent, types.String):
    """The user's own word: ``human``, stored as ``real``, or ``ai``."""

    def parse(self, string: str) -> Any:
        """Return the word as it is stored.

        Raises:
            UserError: It is another one.
        """
        word = WORDS.get(string.strip().lower())
        if word is not None:
            return word.value
        refuse(
            f"ai_override is {string!r}, it must be human (or real) or ai; "
            f"ai_override! takes your word back"
        )
        return None

    def from_sql(self, sql_value: Any) -> Any:
        """Return what the database has."""
        return None if sql_value is None else str(sql_value)


class Note(_Absent, types.String):
    """The user's own words."""


class UnscoredLast(SlowFieldSort):
    """Sorts by a field; what does not have it comes last, in either direction."""

    def sort(self, objs: Sequence[AnyModel]) -> Sequence[AnyModel]:
        """Return the models in order."""
        present = [obj for obj in objs if obj.get(self.field_name) is not None]
        absent = [obj for obj in objs if obj.get(self.field_name) is None]
        return [*super().sort(present), *absent]


def stored_value(name: str) -> Callable[[Any], Any]:
    """Return what reads a flexible attribute, None where a model has none.

    As a computed field it makes ``$ai_score`` empty in a format. For a field that is not there,
    beets would leave the name as it stands.
    """

    def value(model: Any) -> Any:
        return model._values_flex.get(name)  # noqa: SLF001 - model.get() would come here

    return value


def sort_unscored_last(model: type[Any], names: Sequence[str]) -> None:
    """Have beets sort by these fields with :class:`UnscoredLast`."""
    sorts: dict[str, type[FieldSort]] = {**model._sorts}  # noqa: SLF001 - no API for it
    model._sorts = {**sorts, **dict.fromkeys(names, UnscoredLast)}  # noqa: SLF001
