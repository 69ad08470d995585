"""Take the screenshots of the report's page, of a library of demo clips and invented tracks.

    python -m tests.programs.screenshots --folder docs

The clips are those of ``docs/demo`` and mixtures of the two; the other tracks are synthesised.
It needs Chromium and its driver.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from mediafile import MediaFile
from PIL import Image

from beetsplug.artifactnet.models.store import find_model
from tests.support.audio_files import Samples, encode, music
from tests.support.browser import Browser, open_browser

DEMO = Path(__file__).parent.parent.parent / "docs" / "demo"
SHOTS = (("report-wide.png", 1200, 1100), ("report-phone.png", 390, 1400))
"""File, and width and height in pixels."""
N_COLOURS = 160
INVENTED = {
    ("The Paper Lanterns", "Small Hours"): ("Copper Rain", "Low Tide", "Salt and Static"),
    ("Ana Brook", "Harbour Songs"): ("Night Ferry", "Lighthouse", "A Map of Weather"),
    ("Odd Meter Club", "Eleven Eight"): ("Third Rail", "Tea for Seven"),
    ("Field Notes", "Barn Tapes"): ("Winter Count", "Gravel Road"),
}
"""Artist and album -> titles."""


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where they go")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as work:
        page = write_report(Path(work))
        for browser in open_browser():
            for name, width, height in SHOTS:
                shoot(browser, page, width, height).save(folder / name, optimize=True)


def write_report(work: Path) -> Path:
    """Make the library, have it scored, and return its report."""
    music_folder = work / "music"
    music_folder.mkdir()
    for number, (samples, tags) in enumerate(tracks(), 1):
        path = music_folder / f"{number:02}.flac"
        encode(path, samples, 44_100, "flac")
        file = MediaFile(path)
        file.update(tags)
        file.save()
    config = {
        "plugins": "artifactnet",
        "library": str(work / "library.db"),
        "directory": str(music_folder),
        "create_backup_before_migrations": False,
    }
    (work / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    page = work / "aireport.html"
    has_lines = bool(find_model("default").card.lines_output)
    pictures = ["--pictures"] if has_lines else []
    commands = (
        ("import", "-q", "-A", "-C", "-s", str(music_folder)),
        ("modify", "-y", "ai_override=human", "ai_override_note=my own tape loops", "Wheel"),
        ("aireport", *pictures, "-o", str(page)),
    )
    for words in commands:
        command = [sys.executable, "-m", "beets", *words]
        subprocess.run(command, env={**os.environ, "BEETSDIR": str(work)}, check=True)
    return page


def tracks() -> Iterator[tuple[Samples, dict[str, str]]]:
    """Yield each track's samples and tags."""
    human, generated = (
        soundfile.read(DEMO / f"{name}.ogg", dtype="float32", always_2d=True)[0]
        for name in ("human", "resynthesised")
    )
    length = min(len(human), len(generated))
    human, generated = human[:length], generated[:length]
    demo = {"artist": "Sectoid", "album": "Demo clips"}
    yield generated, {"title": "Feelings (excerpt, re-synthesised)", **demo}
    yield human, {"title": "Feelings (excerpt)", **demo}
    mixed = (0.35 * generated + 0.65 * human).astype(np.float32)
    yield mixed, {"title": "Under One Roof", **demo}
    yield generated[::-1].copy(), {"title": "Wheel", **demo}
    seed = 0
    for (artist, album), titles in INVENTED.items():
        for title in titles:
            seed += 1
            yield music(26.0, seed=seed), {"title": title, "artist": artist, "album": album}
    yield music(0.6), {"title": "Count-in", "artist": "Field Notes", "album": "Barn Tapes"}


def shoot(browser: Browser, page: Path, width: int, height: int) -> Image.Image:
    """Return a picture of a page, its first suspect opened, in few colours."""
    browser.open(page, width)
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.run(
        """
        document.querySelector('.opener').click();
        document.querySelector('.current').classList.remove('current');
        // Where the library lies is nobody's business.
        document.querySelector('.open p:last-child').hidden = true;
        """
    )
    shot = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    image = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    return image.quantize(N_COLOURS, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
