"""What a release's date says: evidence for a human, and never a decision."""

from __future__ import annotations

FIRST_YEAR = 2023
"""The first songs that generators sang as a whole were released then (Suno, Udio)."""
_EARLIEST = 1860
"""The oldest recording known; a smaller number is no year."""


def describe_release(original_year: int) -> str:
    """Return what a year of first release says, empty where it says nothing.

    Args:
        original_year: Of the recording's first release; 0 where it is unknown.
    """
    if not _EARLIEST <= original_year < FIRST_YEAR:
        return ""
    return f"first released {original_year}, before {FIRST_YEAR}: speaks for human"
