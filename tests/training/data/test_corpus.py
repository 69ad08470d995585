"""The corpus's manifest."""

from __future__ import annotations

from pathlib import Path

from beetsplug.artifactnet.training.data import corpus
from beetsplug.artifactnet.training.data.corpus import Clip


def test_a_manifest_is_read_row_by_row(tmp_path: Path) -> None:
    """Related families become one, real clips have none, paths are joined."""
    (tmp_path / "manifest.csv").write_text(
        "file,label,kind,generator,family,track,source,sample_rate,skip_s,seconds\n"
        "ai/a.mp3,ai,ai,musicon-1,MusiConGen,t1,x/y,32000,0.3,4.8\n"
        "real/b.flac,real,real,,real,t2,x/z,44100,0.0,4.5\n"
    )
    assert corpus.read_manifest(tmp_path) == [
        Clip(tmp_path / "ai/a.mp3", 1, "MusicGen", "musicon-1", "x/y", "t1", 32_000, 0.3),
        Clip(tmp_path / "real/b.flac", 0, "", "", "x/z", "t2", 44_100, 0.0),
    ]
