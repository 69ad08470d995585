"""Reading a model's card: every field, its defaults, and what it cannot be."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.card import ModelCard, ModelInput, parse_card, read_card
from beetsplug.artifactnet.results import Thresholds

SHA256 = "0123456789abcdef" * 4
CARD: dict[str, Any] = {
    "model_id": "loudness",
    "version": "1.0",
    "licence": "MIT",
    "url": "https://example.org/loudness",
    "files": {"model.onnx": SHA256, "weights.bin": SHA256},
    "input": {"name": "audio", "sample_rate": 16_000, "segment_samples": 64_000},
    "crop": "centre",
    "max_segments": 3,
    "minimum_s": 2.5,
    "padding": "repeat",
    "call": "song",
    "output": {"name": "score", "kind": "logit"},
    "aggregation": "mean",
    "notice": "patent pending",
    "architecture": "mean of absolute samples",
    "thresholds": {"ai": 0.5, "unsure": 0.3},
    "error_rates": {"ai": 0.01},
}
OPTIONAL: dict[str, object] = {
    "url": "",
    "notice": "",
    "architecture": "",
    "error_rates": {},
    "crop": "even",
    "max_segments": 1,
    "minimum_s": 1.0,
    "padding": "zero",
    "call": "segment",
    "aggregation": "median",
}
"""Field -> what it is where the card above leaves it out."""
TWO = [
    {"name": "mert", "sample_rate": 24_000, "segment_samples": 24_000 * 90},
    {"name": "wav2vec2", "sample_rate": 16_000, "segment_samples": 16_000 * 90},
]
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
        inputs=(ModelInput("audio", 16_000, 64_000),),
        output_name="score",
        output_kind="logit",
        thresholds=Thresholds(ai=0.5, unsure=0.3),
        crop="centre",
        max_segments=3,
        minimum_s=2.5,
        padding="repeat",
        call="song",
        aggregation="mean",
        url="https://example.org/loudness",
        notice="patent pending",
        architecture="mean of absolute samples",
        error_rates={"ai": 0.01},
    )


def test_unknown_field() -> None:
    """A misspelt field is refused by its name: its default might matter."""
    with pytest.raises(ModelError, match=r"^card\.json: agregation is no field of a card"):
        parse_card(changed("agregation", "mean"), "card.json")


def test_graph_must_be_onnx() -> None:
    """Other formats of onnxruntime's are refused: what they read cannot be checked."""
    with pytest.raises(ModelError, match=r"files is 'model\.ort', it must be an \.onnx file"):
        parse_card(changed("files", {"model.ort": SHA256}), "card.json")


def test_label() -> None:
    """The label is id and version in one word."""
    assert parse_card(CARD, "card.json").label == "loudness-1.0"


def without(*fields: str, **others: object) -> dict[str, Any]:
    """Return the card without some fields, and with others."""
    return {key: value for key, value in CARD.items() if key not in fields} | others


@pytest.mark.parametrize("field", [name for name in OPTIONAL if name != "crop"])
def test_optional_fields(field: str) -> None:
    """What may be left out has a default then."""
    assert getattr(parse_card(without(field), "card.json"), field) == OPTIONAL[field]


def test_smallest_card() -> None:
    """A card with nothing but what is needed: even crop, any number of segments."""
    card = parse_card(without(*OPTIONAL), "card.json")
    expected = {**OPTIONAL, "max_segments": None}
    assert {field: getattr(card, field) for field in OPTIONAL} == expected
    assert not card.is_read_at_once


@pytest.mark.parametrize(("crop", "expected"), [("even", None), ("centre", 1), ("start", 1)])
def test_how_many_segments(crop: str, expected: int | None) -> None:
    """Left open, a crop at one place is one segment, and an even one is unlimited."""
    card = parse_card(without(*OPTIONAL, crop=crop), "card.json")
    assert expected == card.max_segments


def test_several_inputs() -> None:
    """Inputs arrive in the card's order; all segments of a track are then read at once."""
    card = parse_card(without("input", inputs=TWO), "card.json")
    assert [given.name for given in card.inputs] == ["mert", "wav2vec2"]
    assert [given.segment_s for given in card.inputs] == [90.0, 90.0]
    assert card.is_read_at_once


def test_one_input_in_a_list() -> None:
    """``input`` is another way to write ``inputs`` of one."""
    listed = parse_card(without("input", inputs=[CARD["input"]]), "card.json")
    assert listed == parse_card(CARD, "card.json")


def refuse(card: object) -> str:
    """Return the message that a card is refused with; it is one line."""
    with pytest.raises(ModelError) as caught:
        parse_card(card, "card.json")
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "inputs is [], it must be a list of at least one input"),
        ("audio", "inputs is 'audio', it must be a list of at least one input"),
        (None, "inputs is missing"),
        (["audio"], "inputs[0] must be an object"),
        ([TWO[0], {"name": "b"}], "inputs[1].sample_rate is missing"),
        ([TWO[0], {**TWO[1], "sample_rate": 0}], "inputs[1].sample_rate is 0, it must be"),
        ([TWO[0], {**TWO[1], "segment_samples": True}], "inputs[1].segment_samples is True"),
        ([TWO[0], {**TWO[1], "name": ""}], "inputs[1].name is '', it must be a text"),
        ([TWO[0], TWO[0]], "inputs is ['mert', 'mert'], it must be inputs of different names"),
        (
            [TWO[0], {**TWO[1], "segment_samples": 16_000 * 45}],
            "inputs is '90 s, 45 s', it must be inputs that all cover the same seconds",
        ),
    ],
)
def test_wrong_inputs(inputs: object, message: str) -> None:
    """What is wrong with inputs is said of the one that it is wrong with."""
    assert refuse(without("input", inputs=inputs)).startswith(f"card.json: {message}")


@pytest.mark.parametrize("value", [CARD["input"], None])
def test_input_and_inputs(value: object) -> None:
    """A card with both cannot mean both."""
    message = refuse(without(input=value, inputs=TWO))
    assert message == f"card.json: input is {value!r}, it must be left out beside inputs"


@pytest.mark.parametrize(
    "fields", [{"call": "song"}, {"inputs": TWO}], ids=["a song is one call", "inputs"]
)
def test_what_is_read_at_once_is_bounded(fields: dict[str, object]) -> None:
    """What is held in memory together needs a limit, and one that memory can hold."""
    left_out = [*OPTIONAL, *(["input"] if "inputs" in fields else [])]
    message = refuse(without(*left_out, **fields))
    assert message.startswith("card.json: max_segments is None, it must be given where ")
    message = refuse(without(*left_out, **fields, max_segments=10_000))
    assert message == ("card.json: max_segments is 10000, it must be 134217728 samples at most")


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
        ("version", "1.0\nInstalled."),
        ("licence", "MIT\x1b[2J"),
        ("notice", ["patent"]),
        ("notice", "harmless\r"),
        ("architecture", 12),
        ("crop", "center"),
        ("crop", 1),
        ("max_segments", 0),
        ("max_segments", -1),
        ("max_segments", 10_001),
        ("max_segments", 2.0),
        ("max_segments", True),
        ("max_segments", "all"),
        ("minimum_s", 0),
        ("minimum_s", -1.0),
        ("minimum_s", 86_401),
        ("minimum_s", float("nan")),
        ("minimum_s", float("inf")),
        ("minimum_s", True),
        ("minimum_s", "1 s"),
        ("minimum_s", 10**400),
        ("padding", "reflect"),
        ("padding", False),
        ("call", "batch"),
        ("call", {}),
        ("aggregation", "mode"),
        ("aggregation", ["median"]),
    ],
)
def test_wrong_field(field: str, value: object) -> None:
    """A field with a value that it cannot have is named, with the value."""
    message = refuse(changed(field, value))
    assert message.startswith(f"card.json: {field} is {value!r}, it must be ")


@pytest.mark.parametrize(
    ("field", "allowed"),
    [
        ("crop", "'even', 'centre' or 'start'"),
        ("padding", "'zero' or 'repeat'"),
        ("call", "'segment' or 'song'"),
        ("aggregation", "'median', 'tercile', 'mean' or 'max'"),
        ("output.kind", "'probability' or 'logit'"),
        ("max_segments", "a whole number from 1 to 10000"),
        ("minimum_s", "a number of seconds"),
        ("input.sample_rate", "a whole number from 4000 to 768000"),
        ("notice", "a text of one line"),
    ],
)
def test_what_is_allowed(field: str, allowed: str) -> None:
    """The message ends with what the field may be."""
    assert refuse(changed(field, ["?"])) == (
        f"card.json: {field} is ['?'], it must be {allowed}"
    )


@pytest.mark.parametrize("field", ["input", "output"])
def test_section_that_is_none(field: str) -> None:
    """A section must be an object."""
    with pytest.raises(ModelError, match=rf"^card\.json: {field} must be an object"):
        parse_card(changed(field, "audio"), "card.json")


@pytest.mark.parametrize(
    "name",
    [
        "../model.onnx",
        "/etc/passwd",
        "a/b.onnx",
        "..",
        ".",
        "",
        "a/",
        "a\\b",
        "c:",
        "card.json",
    ],
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


@given(
    st.sampled_from([*REQUIRED, *OPTIONAL, "inputs", "thresholds.ai", "files.x"]), json_values
)
def test_any_field(field: str, value: object) -> None:
    """Whatever one field holds, a card is read or refused with a message that names it."""
    message = ""
    try:
        parse_card(changed(field, value), "card.json")
    except ModelError as error:
        message = str(error)
    # Whether a track is read at once, and so how much of it, hangs on other fields.
    named = (field.partition(".")[0], "max_segments", "input")
    assert message == "" or message.startswith(tuple(f"card.json: {name}" for name in named))


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


def test_card_that_is_missing(tmp_path: Path) -> None:
    """A missing card is named."""
    with pytest.raises(ModelError, match=r"card\.json: .*; a model needs its card"):
        read_card(tmp_path / "card.json")


def test_card_in_a_file(tmp_path: Path) -> None:
    """A card in a file is the card that its values describe."""
    path = tmp_path / "card.json"
    path.write_text(json.dumps(CARD), encoding="utf-8")
    assert read_card(path) == parse_card(CARD, "card.json")


SONG = {"call": "song", "max_segments": 7}
TELLING = {"name": "p", "kind": "probability", "segments": "s", "evidence": "e"}


def test_outputs_of_segments_and_evidence() -> None:
    """A card names the outputs that tell of segments and branches, and the branches."""
    card = parse_card(CARD | SONG | {"output": TELLING | {"branches": ["lines", "cnn"]}}, "c")
    assert (card.segments_output, card.evidence_output) == ("s", "e")
    assert card.branches == ("lines", "cnn")


@pytest.mark.parametrize(
    ("output", "song", "expected"),
    [
        (
            {"name": "p", "kind": "probability", "lines": "l"},
            SONG,
            "output.lines_hz is 0.0, it must be given where output names lines",
        ),
        (
            {"name": "p", "kind": "probability", "lines": "l", "lines_hz": -1},
            SONG,
            "output.lines_hz is -1, it must be above 0 and at most 1000 hertz",
        ),
        (
            {"name": "p", "kind": "probability", "lines": "l", "lines_hz": "1"},
            SONG,
            "output.lines_hz is '1', it must be a number of hertz",
        ),
        (TELLING, SONG, "output.branches is [], it must be the names of the evidence"),
        (
            TELLING | {"branches": ["a", "a"]},
            SONG,
            "output.branches is ['a', 'a'], it must be a list of different names",
        ),
        (
            TELLING | {"branches": ["a"]},
            {"call": "segment"},
            "call is 'segment', it must be 'song' where output names segments, evidence or "
            "lines",
        ),
    ],
)
def test_outputs_that_do_not_go_together(
    output: dict[str, Any], song: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ModelError) as caught:
        parse_card(CARD | song | {"output": output}, "c")
    assert str(caught.value) == f"c: {expected}"
