"""The tables of the model's page are those of its results file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from beetsplug.artifactnet.training.report.docs import TABLES, filled

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "model.md").read_text(encoding="utf-8")
FOUND = json.loads((DOCS / "model-results.json").read_text(encoding="utf-8"))


def test_the_page_holds_the_tables_of_the_results() -> None:
    """Written anew, the page stays as it is, and none of its tables is empty."""
    assert filled(PAGE, FOUND) == PAGE
    assert all(f"<!-- {name} -->\n|" in PAGE for name in TABLES)


def test_a_table_follows_its_results() -> None:
    """A number that changes in the results changes in the page."""
    songs = FOUND["songs"] | {"platforms": FOUND["songs"]["platforms"] | {"auc": [0.5, 0, 1]}}
    page = filled(PAGE, FOUND | {"songs": songs})
    assert "0.500 [0.000, 1.000]" in page
    assert page != PAGE


def test_a_table_that_there_is_none_of() -> None:
    with pytest.raises(KeyError, match="no such"):
        filled("<!-- no such -->\n<!-- end -->", FOUND)
