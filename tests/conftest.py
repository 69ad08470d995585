"""What beets' own test helpers expect of a conftest, and settings for Hypothesis."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import hypothesis
import pytest

# First: beets.test, up to 2.12, lets the namespace hold nothing but beets' own plugins.
import beetsplug.artifactnet  # noqa: F401  isort: skip
from beets.test._common import DummyIO
from beets.util import cached_classproperty

# Times vary with what else the machine does; a slow example is no failure.
hypothesis.settings.register_profile("artifactnet", deadline=None)
hypothesis.settings.load_profile("artifactnet")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in the background of a script. What tests start would inherit it, and hear no Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _fresh_beets() -> Iterator[None]:
    """Take back what beets keeps for the process: plugins' field types, log handlers."""
    cached_classproperty.cache.clear()
    yield
    # The handler of a command holds the standard error of the test that ran it.
    logging.getLogger("beets").handlers.clear()


@pytest.fixture
def io(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capteesys: pytest.CaptureFixture[str],
) -> DummyIO:
    """Return captured output and a standard input to fill, as ``IOMixin`` asks for it."""
    terminal = DummyIO(monkeypatch, capteesys)
    if request.instance is not None:
        request.instance.io = terminal
    return terminal
