"""The files of a report: what is in them, and that no name can break out of a page."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.benchmark.manifest import Manifest, read_manifest
from beetsplug.artifactnet.benchmark.metrics import ModelRun, ScoredTrack
from beetsplug.artifactnet.benchmark.report import outputs
from beetsplug.artifactnet.benchmark.report.outputs import folder_name, write_outputs
from beetsplug.artifactnet.errors import ConfigError, MissingPackageError
from beetsplug.artifactnet.report.document import Section, Table, markdown, page
from tests.support.labelled_tracks import (
    ai,
    bench_run,
    bench_tracks,
    real,
    run_of,
    scored,
    training_list,
    v1_1,
    v2,
    write_json,
)

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&\\|`$x^2$\n\x00\udcff"
MODEL = "../../<b onmouseover=alert(3)>-1.0"
VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: its tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module", autouse=True)
def _few_replicates() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs, "N_REPLICATES", 40)
        yield


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="ascii"))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    path = tmp_path_factory.mktemp("bench") / "m.json"
    return read_manifest(write_json(path, v2(bench_tracks())))


@pytest.fixture(scope="module")
def runs(manifest: Manifest) -> list[ModelRun]:
    """Two models; the first failed on two files."""
    first = bench_run(manifest, bench_tracks())
    tracks = [
        replace(s, track=replace(s.track, path=Path(f"{place}.flac")))
        for place, s in enumerate(first.tracks)
    ]
    for place in (5, 8):
        tracks[place] = ScoredTrack(tracks[place].track, None, "unreadable: truncated")
    second = bench_run(manifest, bench_tracks(), seed=3, model="other-2.0")
    return [replace(first, tracks=tuple(tracks)), second]


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, manifest: Manifest, runs: list[ModelRun]
) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert write_outputs(folder, manifest, runs).page == folder / "summary.html"
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a report in which every name is hostile."""
    names: dict[str, Any] = {"source": HOSTILE, "generator": HOSTILE}
    tracks = [
        scored(0.9, "ai", track_id=HOSTILE, **names),
        *real(0.1, 0.6, **names),
        scored(None, "ai", reason=f"unreadable: {HOSTILE}", **names),
    ]
    manifest = Manifest(HOSTILE, "CSV", tuple(track.track for track in tracks))
    folder = tmp_path_factory.mktemp("hostile") / "in" / "out"
    section = Section(HOSTILE, (HOSTILE,), (Table((HOSTILE,), ((HOSTILE,),)),))
    write_outputs(folder, manifest, [run_of(tracks, MODEL), run_of(tracks)], [section])
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_files(report: Path) -> None:
    """Every file is where it is looked for, and nothing partial stays behind."""
    of_model = {
        *("track_probs.json", "per_source.json", "inference_failures.json", "metrics.json"),
        *(
            f"{chart}.{kind}"
            for chart in ("roc", "scores", "sources")
            for kind in ("svg", "png")
        ),
    }
    assert set(files_of(report)) == {
        *("summary.md", "summary.html", "comparison.json", "roc.svg", "roc.png"),
        *(f"{model}/{name}" for model in ("finecomb-1.0", "other-2.0") for name in of_model),
    }


@pytest.mark.slow
def test_same_input_same_bytes(
    report: Path, manifest: Manifest, runs: list[ModelRun], tmp_path: Path
) -> None:
    """Written again the files are the same."""
    write_outputs(tmp_path, manifest, runs)
    assert files_of(tmp_path) == files_of(report)


def test_track_probs(report: Path, manifest: Manifest, runs: list[ModelRun]) -> None:
    """ArtifactBench's own format, in the manifest's order, without what failed."""
    rows = read(report / "finecomb-1.0" / "track_probs.json")
    assert len(rows) == len(manifest.tracks) - 2
    first = runs[0].tracks[0]
    assert rows[0] == {
        "prob": first.probability,
        "label": 0,
        "source": first.track.source,
        "track_id": first.track.track_id,
    }
    failed = read(report / "finecomb-1.0" / "inference_failures.json")
    assert [row["track_id"] for row in failed] == [
        manifest.tracks[place].track_id for place in (5, 8)
    ]
    assert failed[0]["failure"] == "unreadable: truncated"


def test_metrics_json(report: Path, manifest: Manifest) -> None:
    values = read(report / "finecomb-1.0" / "metrics.json")
    judged = [track for track in manifest.tracks if track.split == "test"]
    assert values["split"] == "test"
    assert values["coverage"]["n_tracks"] == len(judged)
    assert values["coverage"]["n_failed"] == 2
    low, high = values["metrics"]["auroc"]["interval"]
    assert low < values["metrics"]["auroc"]["value"] < high
    confusion = values["metrics"]["calibrated.confusion"]
    assert sum(confusion.values()) == values["coverage"]["n_scored"]
    as_errors = values["metrics_with_failures_as_errors"]
    assert sum(as_errors["calibrated.confusion"].values()) == len(judged)
    assert as_errors["own.f1"]["value"] < values["metrics"]["own.f1"]["value"]
    assert values["per_source"] == read(report / "finecomb-1.0" / "per_source.json")
    assert {row["name"] for row in values["per_generator"]} == {
        track.generator for track in judged if track.generator
    }
    assert list(values["other_splits"]) == ["calibration"]


def test_comparison_json(report: Path) -> None:
    (found,) = read(report / "comparison.json")
    assert (found["first"], found["second"]) == ("finecomb-1.0", "other-2.0")
    auroc = found["differences"]["auroc"]
    assert auroc["difference"] == pytest.approx(auroc["first"] - auroc["second"], abs=2e-6)


@pytest.mark.parametrize("schema", [v1_1, training_list])
def test_published_columns(schema: Any, tmp_path: Path) -> None:
    """The paper's columns stand beside ArtifactBench's tracks and no others."""
    tracks = bench_tracks(40)
    manifest = read_manifest(write_json(tmp_path / "m.json", schema(tracks)))
    write_outputs(tmp_path, manifest, [run_of([ScoredTrack(t, 0.5) for t in manifest.tracks])])
    text = (tmp_path / "summary.md").read_text()
    is_artifactbench = schema is not training_list
    for figure in ("CLAM", "SpecTTTra", "0.9829", "0.6926", "0.8460"):
        assert (figure in text) is is_artifactbench
    assert ("published" in read(tmp_path / "finecomb-1.0" / "metrics.json")) is is_artifactbench


@pytest.mark.parametrize("name", ["report", "hostile"])
def test_page_is_self_contained(name: str, request: pytest.FixtureRequest) -> None:
    """One script, no handler, no request; every tag is closed."""
    folder: Path = request.getfixturevalue(name)
    text = (folder / "summary.html").read_text(encoding="utf-8")
    parsed = Page(text)
    assert parsed.open == []
    assert parsed.tags.count("script") == 1
    assert not {"iframe", "object", "b", "image"} & set(parsed.tags)
    for key, value in parsed.attributes:
        assert not key.startswith("on")
        if key in {"href", "src"}:
            assert (value or "").startswith(("data:,", "data:image/svg+xml;base64,"))
    style = text[text.index("<style>") : text.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style
    assert "prefers-color-scheme: dark" in style


def test_hostile_names_are_text(hostile: Path) -> None:
    """What a name holds is shown as it is, and is markup nowhere."""
    parsed = Page((hostile / "summary.html").read_text(encoding="utf-8"))
    shown = "".join(parsed.texts)
    assert shown.count("<script>alert(1)</script><img src=x onerror=alert(2)>") > 8
    assert "<b onmouseover=alert(3)>" in shown
    text = (hostile / "summary.md").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img" not in text
    assert "<b " not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) >= 2 for row in rows)


def test_hostile_names_in_json_and_charts(hostile: Path) -> None:
    """JSON keeps a name as it was; a chart is well-formed and has it as text."""
    folder = hostile / "finecomb-1.0"
    assert read(folder / "track_probs.json")[0]["track_id"] == HOSTILE
    assert read(folder / "per_source.json")[0]["name"] == HOSTILE
    root = ElementTree.parse(folder / "sources.svg").getroot()
    assert not [element for element in root.iter() if element.tag.endswith("}script")]
    assert any("<script>" in (element.text or "") for element in root.iter())


def test_nothing_is_written_outside(hostile: Path) -> None:
    """A model's name cannot lead out of the report's folder."""
    top = hostile.parents[1]
    assert all(name.startswith("in/out/") for name in files_of(top))
    assert len([path for path in hostile.iterdir() if path.is_dir()]) == 2


@given(st.text(max_size=120))
def test_folder_names(model: str) -> None:
    name = folder_name(model)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,90}", name)
    assert not name.endswith(".")
    assert folder_name(name) == name


def test_folder_names_differ() -> None:
    names = ["finecomb-1.0", "a/b", "a?b", "..", ".", "", "x" * 99 + "1", "x" * 99 + "2"]
    assert folder_name(names[0]) == names[0]
    assert len({folder_name(name) for name in names}) == len(names)


@given(st.lists(st.text(max_size=20), min_size=2, max_size=2), st.text(max_size=20))
def test_any_text_in_a_page(cells: list[str], title: str) -> None:
    """Whatever the texts: as many cells as there are, and no tag but ours."""
    section = Section(title, (title,), (Table(("a", "b"), (tuple(cells),)),))
    parsed = Page(page(title, [section]))
    assert parsed.open == []
    assert parsed.tags.count("td") == 1
    assert set(parsed.tags) == {
        *("html", "head", "meta", "link", "title", "style", "body", "main", "h1", "h2", "p"),
        *("div", "table", "thead", "tbody", "tr", "th", "td", "script"),
    }
    rows = [line for line in markdown(title, [section]).split("\n") if line.startswith("| ")]
    assert [len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows] == [3, 3]


def test_one_model_one_label_scored(tmp_path: Path) -> None:
    """Where all real tracks failed there is a report still, with dashes for metrics."""
    tracks = [*ai(0.9, 0.2), scored(None, "real", reason="silent: no sound")]
    manifest = Manifest("m.csv", "CSV", tuple(track.track for track in tracks))
    write_outputs(tmp_path, manifest, [run_of(tracks)])
    values = read(tmp_path / "finecomb-1.0" / "metrics.json")
    assert values["metrics"]["auroc"] == {"value": None, "interval": None}
    assert values["metrics"]["own.tpr"]["value"] == 0.5
    assert not (tmp_path / "comparison.json").exists()
    assert not (tmp_path / "finecomb-1.0" / "roc.svg").exists()
    assert ": \u2013." in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_every_track_is_listed(report: Path, runs: list[ModelRun]) -> None:
    """The page has a list with what went wrong first; Markdown leaves it to the JSON."""
    text = (report / "summary.html").read_text(encoding="utf-8")
    assert text.count('<div class="listing"') == len(runs)
    results = re.findall(r'data-label="result">([^<]+)<', text)
    judged = [track for track in runs[0].tracks if track.track.split == "test"]
    first = results[: len(judged)]
    assert Counter(first)["failed"] == 2
    assert first == sorted(
        first, key=["false accusation", "missed", "failed", "no audio", "right"].index
    )
    assert "By track" not in (report / "summary.md").read_text(encoding="utf-8")


def test_same_values_are_told_once(tmp_path: Path) -> None:
    """A model without an error has a sentence, and no wall of ones."""
    tracks = [*ai(*[0.9] * 8), *real(*[0.1] * 8)]
    manifest = Manifest("m.csv", "CSV", tuple(track.track for track in tracks))
    write_outputs(tmp_path, manifest, [run_of(tracks)])
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert r"AUROC, AUPRC, TPR at FPR &lt;= 5 %, TPR at FPR &lt;= 1 %: 1.0000" in text
    assert "| AUROC" not in text
    assert re.search(r"\| FPR \| 0\.0000", text)
    assert text.count("1.0000") < 12


def test_folder_is_a_file(tmp_path: Path) -> None:
    tracks = [*ai(0.9), *real(0.1)]
    manifest = Manifest("m.csv", "CSV", tuple(track.track for track in tracks))
    (tmp_path / "report").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_outputs(tmp_path / "report", manifest, [run_of(tracks)])


def test_missing_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra, and nothing is written."""
    tracks = [*ai(0.9), *real(0.1)]
    manifest = Manifest("m.csv", "CSV", tuple(track.track for track in tracks))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"matplotlib.*beets-artifactnet\[bench\]"):
        write_outputs(tmp_path, manifest, [run_of(tracks)])
    assert not list(tmp_path.iterdir())
