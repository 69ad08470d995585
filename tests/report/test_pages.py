"""Pages as a browser shows them: on a desk and on a phone, by keyboard, with hostile names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beetsplug.artifactnet.audio.clips import CLIP_S, CLIP_TYPE, Clip, Place, cut_clip
from beetsplug.artifactnet.report.document import Section, Table, page
from beetsplug.artifactnet.report.drawings import draw_spectrum
from beetsplug.artifactnet.report.page import Facts, Findings, Sound, tracks_page
from beetsplug.artifactnet.report.tracks import Sentence, Track
from beetsplug.artifactnet.results import SegmentScore, Thresholds
from tests.support.audio_files import encode, music
from tests.support.browser import WIDTHS, Browser, open_browser

MARKUP = "\"'><script>document.title='x'</script><img src=x onerror=alert(2)>&{{7*7}}"
HOSTILE = f"{MARKUP}\x00\udcff"
THRESHOLDS = Thresholds(ai=0.5, unsure=0.3)
N_TRACKS = 30


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from open_browser()


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return twenty seconds of FLAC, by a name that no address holds as it is."""
    folder = tmp_path_factory.mktemp("songs")
    return encode(folder / "50 % #1? <b>'é.flac", music(20.0), 44_100, "flac")


def suspect(number: int, path: Path, **values: object) -> Track:
    """Return a flagged track of three segments, the second of which speaks loudest."""
    segments = tuple(map(SegmentScore, (0.0, 8.0, 16.0), (0.6, 0.97, 0.1)))
    fields: dict[str, object] = {
        "title": f"Title {number}",
        "artist": f"Artist {number % 3}",
        "album": "Album",
        "length": 20.0,
        "verdict": "ai",
        "reason": "score",
        "model": HOSTILE,
        "score": 0.9 - number / 100,
        "timeline": segments,
        "explanation": (
            Sentence("lines 86.1 Hz apart", "ai"),
            Sentence("released 1994", "human"),
        ),
    }
    return Track(str(path), number, **{**fields, **values})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, song: Path) -> Path:
    """Return a page with suspects, a hostile one among them, and others."""
    clip = cut_clip(Place(song, 7.0))
    assert isinstance(clip, Clip)
    gone = song.with_name("gone.flac")
    hostile = {"title": HOSTILE, "artist": HOSTILE, "album": HOSTILE, "reason": HOSTILE}
    others = range(4, N_TRACKS)
    tracks = [
        suspect(1, song),
        suspect(2, song, verdict="unsure", score=0.4, model="another"),
        suspect(3, gone, explanation=(Sentence(HOSTILE),), error=HOSTILE, **hostile),
        *(Track(f"/{n}.mp3", n, f"Other {n}", verdict="real", score=n / 100) for n in others),
        Track("/music/bad.mp3", N_TRACKS, error="unreadable: empty file"),
    ]
    levels = [8.0 if n % 64 == 0 else 0.2 for n in range(1_000)]
    findings = {
        1: Findings(Sound.of_file(song), draw_spectrum(levels, 1.35, 86.4)),
        2: Findings(Sound.of_clip(clip.data, CLIP_TYPE, clip.start_s, CLIP_S)),
        3: Findings(Sound(note="The file is not there."), spectrum_note=HOSTILE),
    }
    facts = Facts(
        query=HOSTILE,
        date="2026-11-28",
        model=HOSTILE,
        segment_s=4.0,
        thresholds=THRESHOLDS,
        notes=(HOSTILE,),
        since="2026-11-01",
        change_lines=("1 track changed verdict between finecomb 2.1 and 3.0",),
        changes=((HOSTILE, "2026-11-02", "real 0.1 \u2192 ai 0.9", "another model"),),
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    text = tracks_page(tracks, findings, facts)
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of tables: a wide one, and a list of tracks."""
    wide = Table(tuple(f"a column {n}" for n in range(9)), ((HOSTILE, *["0.1234"] * 8),) * 3)
    listed = Table(("track", "result"), ((HOSTILE, "missed"), ("b", "right")), "", "result")
    path = tmp_path_factory.mktemp("page") / "summary.html"
    sections = [Section("Wide", tables=(wide,)), Section("By track", tables=(listed,))]
    path.write_text(page(HOSTILE, sections), encoding="utf-8")
    return path


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, twenty seconds at most."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "benchmark"])
@pytest.mark.slow
def test_a_page_at_a_width(
    name: str, width: int, browser: Browser, request: pytest.FixtureRequest
) -> None:
    """Nothing is wrong with it, nothing sticks out of it, and names are text."""
    browser.open(request.getfixturevalue(name), width)
    browser.run("document.querySelectorAll('.opener').forEach((each) => each.click())")
    assert browser.violations() == []
    assert browser.complaints() == []
    assert browser.run("return document.documentElement.scrollWidth") == width
    assert browser.run("return document.querySelectorAll('img, main script').length") == 0
    shown = f"{MARKUP}\ufffd\ufffd"
    assert shown in browser.run("return document.querySelector('main').innerText")
    assert browser.run("return document.title") != "x"


def titles(browser: Browser) -> list[str]:
    """Return the first words of the rows that are shown, in order."""
    script = (
        "return [...document.querySelectorAll('.listing tbody:not([hidden])')]"
        ".map((body) => body.rows[0].cells[0].innerText.trim())"
    )
    return list(browser.run(script))


def test_a_list_is_sorted_and_filtered(report: Path, browser: Browser) -> None:
    """By any heading in both directions, empty cells last; by words and by verdict."""
    from selenium.webdriver.common.by import By

    browser.open(report)
    assert titles(browser)[0] == "Title 1"
    assert titles(browser)[-1] == "Other 4"
    headings = browser.driver.find_elements(By.CSS_SELECTOR, "thead button")
    score = next(each for each in headings if each.text == "score")
    score.click()
    assert titles(browser)[0] == "Other 4"
    assert titles(browser)[-1] == "bad.mp3"
    score.click()
    assert titles(browser)[0] == "Title 1"
    assert titles(browser)[-1] == "bad.mp3"
    browser.driver.find_element(By.CSS_SELECTOR, "input").send_keys("title artist")
    assert titles(browser) == ["Title 1", "Title 2"]
    assert browser.run("return document.querySelector('output').value") == "2 of 30 shown"
    browser.driver.find_element(By.CSS_SELECTOR, "option[value='unsure']").click()
    assert titles(browser) == ["Title 2"]


def test_keys(report: Path, browser: Browser) -> None:
    """J and k walk through the rows, enter opens one, and typing is typing."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.open(report)
    current = "return document.querySelector('.current th').innerText.trim()"
    n_open = "return document.querySelectorAll('.detail.open').length"
    browser.press("j", "j")
    assert browser.run(current) == "Title 2" or browser.run(current).startswith("\"'>")
    browser.press("k")
    assert browser.run(current) == "Title 1"
    assert browser.run(n_open) == 0
    browser.press(Keys.ENTER)
    assert browser.run(n_open) == 1
    browser.press(Keys.ENTER)
    assert browser.run(n_open) == 0
    browser.driver.find_element(By.CSS_SELECTOR, "input").send_keys("jk")
    assert browser.run("return document.querySelector('input').value") == "jk"


@pytest.mark.parametrize(("title", "place_s"), [("Title 1", 8.0), ("Title 2", 1.0)])
def test_sound_at_the_place(title: str, place_s: float, report: Path, browser: Browser) -> None:
    """A file and a clip of it play from the segment that was asked for."""
    browser.open(report)
    script = """
        const row = [...document.querySelectorAll('tbody')]
            .find((body) => body.innerText.includes(arguments[0]));
        row.querySelector('.opener').click();
        const places = [...row.querySelectorAll('.places button')];
        places.find((place) => place.innerText.includes('0.97')).click();
        window.sound = row.querySelector('audio');
        """
    browser.run(script, title)
    playing = "return !sound.paused && sound.currentTime > arguments[0]"
    wait_until(lambda: bool(browser.run(playing, place_s)))
    assert browser.run("return sound.currentTime") < place_s + 15
    assert browser.run("return sound.error") is None
    assert browser.complaints() == []


def test_a_player_opens_where_it_speaks_loudest(report: Path, browser: Browser) -> None:
    """Without a click on a place, and by the key p."""
    browser.open(report)
    browser.press("j", "p")
    script = (
        "const a = document.querySelector('.current').parentElement.querySelector('audio');"
    )
    wait_until(lambda: bool(browser.run(f"{script} return !a.paused && a.currentTime > 8")))
    browser.press("p")
    assert browser.run(f"{script} return a.paused") is True


def test_print(report: Path, browser: Browser) -> None:
    """On paper every suspect is open, and nothing is there to be clicked."""
    browser.open(report)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".filter((each) => each.getClientRects().length).length"
        )
        assert browser.run(script, ".detail") == 3
        assert browser.run(script, "audio, .filter, .places") == 0
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
