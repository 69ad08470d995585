"""Finding a model by name or path, and reading its card."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.model_store import ModelCard, find_model, parse_card, read_card
from beetsplug.artifactnet.results import Thresholds
from tests.onnx_models import write_model

SHA256 = "0123456789abcdef" * 4
CARD: dict[str, Any] = {
    "model_id": "loudness",
    "version": "1.0",
    "licence": "MIT",
    "url": "https://example.org/loudness",
    "files": {"model.onnx": SHA256, "weights.bin": SHA256},
    "input": {"name": "audio", "sample_rate": 16_000, "segment_samples": 64_000},
    "output": {"name": "score", "kind": "logit"},
    "thresholds": {"ai": 0.5, "unsure": 0.3},
    "error_rates": {"ai": 0.01},
}
OPTIONAL = ("url", "error_rates")
REQUIRED = (
    "model_id",
    "version",
    "licence",
    "files",
    "input",
    "input.name",
    "input.sample_rate",
    "input.segment_samples",
    "output",
    "output.name",
    "output.kind",
    "thresholds",
)


def changed(field: str, value: object) -> dict[str, Any]:
    """Return the card with one field, given by its dotted name, replaced."""
    card = copy.deepcopy(CARD)
    *sections, key = field.split(".")
    place = card
    for section in sections:
        place = place[section]
    place[key] = value
    return card


def test_card() -> None:
    """Every field of a card arrives in the field that it belongs to."""
    assert parse_card(CARD, "card.json") == ModelCard(
        model_id="loudness",
        version="1.0",
        licence="MIT",
        files={"model.onnx": SHA256, "weights.bin": SHA256},
        input_name="audio",
        sample_rate=16_000,
        segment_samples=64_000,
        output_name="score",
        output_kind="logit",
        thresholds=Thresholds(ai=0.5, unsure=0.3),
        url="https://example.org/loudness",
        error_rates={"ai": 0.01},
    )


def test_label() -> None:
    """The label is id and version in one word."""
    assert parse_card(CARD, "card.json").label == "loudness-1.0"


@pytest.mark.parametrize("field", OPTIONAL)
def test_optional_fields(field: str) -> None:
    """URL and error rates may be left out, and are empty then."""
    card = {key: value for key, value in CARD.items() if key != field}
    assert not getattr(parse_card(card, "card.json"), field)


@pytest.mark.parametrize("field", REQUIRED)
def test_missing_field(field: str) -> None:
    """A missing field is named, with the card that it is missing from."""
    with pytest.raises(ModelError) as caught:
        parse_card(changed(field, None), "here/card.json")
    assert str(caught.value) == f"here/card.json: {field} is missing"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_id", "Loudness"),
        ("model_id", "a/b"),
        ("model_id", "../up"),
        ("model_id", ""),
        ("model_id", 3),
        ("version", ""),
        ("version", 1.0),
        ("licence", ["MIT"]),
        ("url", 5),
        ("files", {}),
        ("files", ["model.onnx"]),
        ("input.name", ""),
        ("input.sample_rate", 0),
        ("input.sample_rate", 44_100.0),
        ("input.sample_rate", "44100"),
        ("input.sample_rate", True),
        ("input.segment_samples", 0),
        ("input.segment_samples", -1),
        ("input.segment_samples", 1 << 40),
        ("output.name", {}),
        ("output.kind", "score"),
        ("output.kind", ["logit"]),
        ("thresholds", 0.5),
        ("thresholds", {}),
        ("thresholds", {"ai": 0.5}),
        ("thresholds", {"ai": 0.3, "unsure": 0.5}),
        ("thresholds", {"ai": 1.5, "unsure": 0.5}),
        ("thresholds", {"ai": "high", "unsure": 0.5}),
        ("thresholds", {"ai": float("nan"), "unsure": 0.5}),
        ("thresholds", {"ai": 10**400, "unsure": 0.5}),
        ("error_rates", "low"),
    ],
)
def test_wrong_field(field: str, value: object) -> None:
    """A field with a value that it cannot have is named, with the value."""
    with pytest.raises(ModelError) as caught:
        parse_card(changed(field, value), "card.json")
    assert str(caught.value).startswith(f"card.json: {field} is {value!r}, it must be ")


@pytest.mark.parametrize("field", ["input", "output"])
def test_section_that_is_none(field: str) -> None:
    """A section must be an object."""
    with pytest.raises(ModelError, match=rf"^card\.json: {field} must be an object"):
        parse_card(changed(field, "audio"), "card.json")


@pytest.mark.parametrize(
    "name", ["../model.onnx", "/etc/passwd", "a/b.onnx", "..", ".", "", "models/"]
)
def test_files_lie_in_the_folder(name: str) -> None:
    """A file name that leads out of the model's folder is refused."""
    with pytest.raises(ModelError, match=r"files is .* file names without a folder"):
        parse_card(changed("files", {name: SHA256}), "card.json")


@pytest.mark.parametrize("sha256", ["", SHA256[:-1], SHA256.upper(), f"{SHA256}\n", 7, None])
def test_checksums(sha256: object) -> None:
    """A checksum that is no sha256 in lower-case hex is refused with its file's name."""
    with pytest.raises(ModelError, match=r"files\.model\.onnx is .* 64 hex digits"):
        parse_card(changed("files", {"model.onnx": sha256}), "card.json")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["logit", SHA256]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_any_json(values: object) -> None:
    """Whatever JSON holds, a card is read or refused as a broken model."""
    with pytest.raises(ModelError, match=r"^card\.json: "):
        parse_card(values, "card.json")


@given(st.sampled_from([*REQUIRED, *OPTIONAL, "thresholds.ai", "files.x"]), json_values)
def test_any_field(field: str, value: object) -> None:
    """Whatever one field holds, a card is read or refused with a message that names it."""
    message = ""
    try:
        parse_card(changed(field, value), "card.json")
    except ModelError as error:
        message = str(error)
    assert message == "" or message.startswith(f"card.json: {field.partition('.')[0]}")


def test_find_by_id(tmp_path: Path) -> None:
    """A model is found by its id in the folders that were given."""
    folder = write_model(tmp_path / "models" / "loudness")
    model = find_model("loudness", [tmp_path / "none", tmp_path / "models"])
    assert folder == model.folder
    assert folder / "model.onnx" == model.graph
    model.verify()


def test_given_folders_come_first(tmp_path: Path) -> None:
    """Of two folders with the same id the first one counts."""
    for name, version in (("one", "1.0"), ("two", "2.0")):
        write_model(tmp_path / name / "loudness", version=version)
    label = find_model("loudness", [tmp_path / "two", tmp_path / "one"]).card.label
    assert label == "loudness-2.0"


def test_find_by_path(tmp_path: Path) -> None:
    """A path that ends in ``.onnx`` is a model with its card beside it."""
    folder = write_model(tmp_path)
    assert folder / "model.onnx" == find_model(str(folder / "model.onnx")).graph


def test_find_default() -> None:
    """``default`` is the bundled model, by whatever id."""
    model = find_model("default")
    assert model.folder.name == model.card.model_id


def test_path_of_another_graph(tmp_path: Path) -> None:
    """A card that describes another graph than the one asked for is refused."""
    folder = write_model(tmp_path)
    with pytest.raises(ModelError, match=r"describes model\.onnx, not other\.onnx"):
        find_model(str(folder / "other.onnx"))


def test_path_without_card(tmp_path: Path) -> None:
    """A graph without its card is refused with what is missing."""
    with pytest.raises(ModelError, match=r"card\.json: .*a model needs its card"):
        find_model(str(tmp_path / "model.onnx"))


@pytest.mark.parametrize("name", ["none", "", "..", "../loudness", "models/loudness"])
def test_unknown_name(name: str, tmp_path: Path) -> None:
    """A name that is no model's is refused with those that there are."""
    write_model(tmp_path / "models" / "loudness")
    with pytest.raises(ModelError) as caught:
        find_model(name, [tmp_path / "models"])
    message = str(caught.value)
    assert message.startswith(f"there is no model {name!r}: ")
    assert "default" in message
    assert "loudness" in message


@pytest.mark.parametrize("text", ["", "{", "[1, 2", "\x00"])
def test_card_that_is_no_json(text: str, tmp_path: Path) -> None:
    """A card that is no JSON is refused with its path."""
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(ModelError, match="is not valid JSON"):
        read_card(path)


def test_card_in_another_encoding(tmp_path: Path) -> None:
    """A card that is not UTF-8 is refused with its path."""
    path = tmp_path / "card.json"
    path.write_bytes(json.dumps(CARD).encode("utf-16"))
    with pytest.raises(ModelError, match="is not valid JSON"):
        read_card(path)


def test_deep_card(tmp_path: Path) -> None:
    """A card nested beyond what a parser holds is refused, not a crash."""
    path = tmp_path / "card.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ModelError, match="is not valid JSON"):
        read_card(path)
