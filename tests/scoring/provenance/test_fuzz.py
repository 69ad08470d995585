"""Tags and manifests changed at random: no exception escapes, and no claim is made up."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.results import STRENGTHS, format_claims, parse_claims
from beetsplug.artifactnet.scoring.provenance import (
    carries_manifest,
    read_claims,
    read_manifests,
)
from beetsplug.artifactnet.scoring.provenance.manifest import read_manifest
from beetsplug.artifactnet.scoring.provenance.platform_marks import claims_in, slug
from tests.support.signed_files import store_of, write_signed
from tests.support.tagged_files import GRAPH, MUREKA, SUNO_COMMENT, add_comment, add_tag

CONTAINERS = ("mp3", "flac", "wav", "m4a", "ogg", "opus")
NAMES = ("woas", "comment", "aigc", "ai_generated", "prompt", "workflow", "artist", "encoder")
N_MUTANTS = 150

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["Label", "AIGC", "ContentProducer", "nodes", "class_type", "type"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(NAMES), st.text(max_size=200) | JSON.map(json.dumps))
def test_texts(name: str, text: str) -> None:
    """Any text under any name gives claims that are stored and read back as they are."""
    claims = tuple(claims_in([(name, text)]))
    assert all(claim.source in STRENGTHS for claim in claims)
    assert parse_claims(format_claims(claims)) == tuple(dict.fromkeys(claims))


@given(st.text())
def test_slugs(name: str) -> None:
    """Whatever a producer calls itself, its word is stored and read back, and short."""
    word = slug(name)
    assert 0 < len(word) <= 40
    assert not set(word) & set(":, \n\t")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with some of them changed, cut out, doubled or filled."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        place = rng.randrange(len(changed))
        length = rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(4):
            case 0:
                changed[place : place + length] = rng.randbytes(length)
            case 1:
                del changed[place : place + length]
            case 2:
                changed[place:place] = changed[place : place + length]
            case _:
                changed[place : place + length] = bytes([rng.choice((0, 0x7F, 0xFF))]) * length
        if not changed:
            return data
    return bytes(changed)


@pytest.mark.parametrize("container", CONTAINERS)
def test_changed_files(container: str, tmp_path: Path) -> None:
    """A changed head of a file never raises, and its sources are the known ones."""
    path = write_signed(tmp_path / f"a.{container}")
    add_tag(path, "AIGC", MUREKA)
    add_tag(path, "prompt", GRAPH)
    add_comment(path, SUNO_COMMENT)
    data = path.read_bytes()
    # Tags and manifest stand in front, in WAV behind the audio.
    start = len(data) - 12_000 if container == "wav" else 0
    end = start + 12_000
    rng = random.Random(container)
    n_claimed = 0
    for _ in range(N_MUTANTS):
        path.write_bytes(data[:start] + mutate(data[start:end], rng) + data[end:])
        claims = read_claims(path)
        assert all(claim.source in STRENGTHS for claim in claims)
        read_manifests(path)
        n_claimed += bool(claims) or carries_manifest(path)
    # A change or two leave most of them readable: the loop is not of garbage alone.
    assert n_claimed > N_MUTANTS // 4


def test_changed_stores(tmp_path: Path) -> None:
    """A changed store is read as far as it goes, or is no store."""
    store = store_of(None, tmp_path)
    rng = random.Random(1)
    n_read = 0
    for _ in range(2_000):
        try:
            manifest = read_manifest(mutate(store, rng))
        except ValueError:
            continue
        n_read += 1
        assert manifest.claim().source in {"c2pa", "c2pa-composite", "c2pa-other"}
    assert n_read > 500
