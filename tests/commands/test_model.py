"""``beet aimodel``: what it prints, asks, installs, removes and finds wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from beets.exceptions import UserError
from onnx import TensorProto, helper, numpy_helper

from beetsplug.artifactnet.commands.terminal import LINE_LIMIT
from beetsplug.artifactnet.library import Field, State, own, state
from beetsplug.artifactnet.models.catalogue import KNOWN_MODELS
from beetsplug.artifactnet.scoring.version import scored_by
from beetsplug.artifactnet.thresholds import save_thresholds
from tests.support import model_server as web
from tests.support.beets_library import LABEL, MODEL, ArtifactNetHelper, slow_down, write_track
from tests.support.onnx_models import (
    V94_DATA,
    V94_GRAPH,
    change_card,
    checksums,
    write_external_model,
    write_inputs_model,
    write_model,
    write_song_model,
    write_v94_shaped,
)
from tests.support.terminal import run_in_terminal

V94 = "artifactnet-v9.4"
V94_LABEL = "artifactnet-v9.4-e915f0d"
ACCEPT = "--accept-licence"
NOT_A_TERMINAL = "there is no terminal to ask on"


class ModelsHelper(ArtifactNetHelper):
    """A library whose configuration names the bundled model, and a server of v9.4."""

    server: web.ModelServer

    @pytest.fixture(autouse=True)
    def _server(self, tmp_path: Path) -> Iterator[None]:
        write_v94_shaped(tmp_path)
        with web.model_server(tmp_path) as self.server:
            yield

    def setup_beets(self) -> None:
        super().setup_beets()
        self.configure(model="default")

    @property
    def models(self) -> Path:
        return self.folder / "artifactnet" / "models"

    def install_v94(self, *options: str) -> list[str]:
        url = f"--base-url={self.server.url}"
        return self.run_lines("aimodel", "install", V94, url, ACCEPT, *options)

    def install_own(self, folder: Path, *options: str) -> list[str]:
        graph, card = str(folder / "model.onnx"), f"--card={folder / 'card.json'}"
        return self.run_lines("aimodel", "install", graph, card, *options)

    def failure(self, *args: str) -> str:
        """Return the one line that a command fails with."""
        with pytest.raises(UserError) as caught:
            self.run_lines("aimodel", *args)
        line = str(caught.value)
        assert "\n" not in line
        return line

    def in_terminal(self, answer: str, *args: str) -> tuple[int, str]:
        """Run a command on a terminal, type an answer; return status and what was seen."""
        self.write_config()
        return run_in_terminal(answer, *args, columns=80)


def wait_for(holds: Callable[[], bool], limit_s: float = 30.0) -> bool:
    """Wait until something holds, and tell whether it does."""
    deadline = time.monotonic() + limit_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class TestList(ModelsHelper):
    def test_bundled_installed_and_known(self, tmp_path: Path) -> None:
        """Each model has a line that says where it is, and one of them is marked."""
        self.install_own(write_model(tmp_path / "mine"))
        lines = self.run_lines("aimodel", "list")
        states = {line[2:22].strip(): line[24:37].strip() for line in lines}
        assert states == {
            "finecomb": "bundled",
            "loudness": "installed",
            **dict.fromkeys(KNOWN_MODELS, "not installed"),
        }
        assert [line[2:10] for line in lines if line.startswith("*")] == ["finecomb"]
        (v94,) = (line for line in lines if V94 in line)
        assert v94.endswith(f"CC BY-NC 4.0; beet aimodel install {V94}")

    def test_without_an_action(self) -> None:
        """``beet aimodel`` alone lists."""
        assert self.run_lines("aimodel") == self.run_lines("aimodel", "list")

    def test_the_one_in_use(self) -> None:
        """The mark follows the configuration, and a known model is listed once."""
        self.install_v94()
        self.configure(model=V94)
        lines = self.run_lines("aimodel", "list")
        marked = [line for line in lines if line.startswith("*")]
        assert marked == [f"* {V94:<20}  {'installed':<13}  e915f0d, CC BY-NC 4.0"]
        assert sum(V94 in line for line in lines) == 1

    def test_a_path_in_use(self) -> None:
        """A model that the configuration names by its path has a line of its own."""
        path = str(self.model_folder / "model.onnx")
        self.configure(model=path)
        assert self.run_lines("aimodel", "list")[-1] == f"* {path}  by its path    {LABEL}, MIT"

    @pytest.mark.parametrize("name", ["none", "/nowhere/model.onnx"])
    def test_what_is_in_use_is_missing(self, name: str) -> None:
        """A model that is not there is marked as broken, with the reason."""
        self.configure(model=name)
        last = self.run_lines("aimodel", "list")[-1]
        assert last.startswith(f"* {name:<20}  broken")
        assert "there is no model 'none'" in last or "a model needs its card" in last

    def test_broken_models(self) -> None:
        """A broken model is listed with its reason; foreign text cannot steer a terminal."""
        change_card(write_model(self.models / "broken"), crop="\x1b[2J")
        (self.models / "e\x1b[31mvil").mkdir()
        out = self.run_with_output("aimodel", "list")
        assert "\x1b" not in out
        lines = {line[2:22].strip(): line for line in out.splitlines()}
        assert "crop is '\\x1b[2J'" in lines["broken"]
        assert "broken" in lines["e\\x1b[31mvil"]


class TestShow(ModelsHelper):
    def test_the_configured_one(self) -> None:
        """Without an id the card is that of the model in use."""
        lines = self.run_lines("aimodel", "show")
        assert lines == self.run_lines("aimodel", "show", "finecomb")
        self.configure(model=str(self.model_folder / "model.onnx"))
        assert self.run_lines("aimodel", "show")[0] == "model_id: loudness"
        rates = [line for line in lines if "error" in line]
        assert re.fullmatch(r"further error rates: \d+ in card.json", rates[1])
        assert max(map(len, lines)) < 500

    def test_installed(self) -> None:
        """Everything that is known of a model that is there."""
        self.install_v94()
        shown = dict(line.split(": ", 1) for line in self.run_lines("aimodel", "show", V94))
        sizes = [(self.models / V94 / name).stat().st_size for name in (V94_GRAPH, V94_DATA)]
        files = checksums(self.models / V94, V94_GRAPH, V94_DATA)
        assert shown.pop("architecture").startswith("ArtifactNet (arXiv 2604.16254)")
        assert json.loads(shown.pop("error_rates"))["fpr"] == 0.0149
        assert shown == {
            "model_id": V94,
            "version": "e915f0d",
            "licence": "CC BY-NC 4.0",
            "notice": KNOWN_MODELS[V94].card["notice"],
            "input audio": "176400 samples at 44100 Hz, 4 s",
            "output": "p_ai, probability",
            "crop": "even; shorter tracks are filled up (zero), under 1 s not scored",
            "placement": "published",
            "down_mix": "mean",
            "level": "kept",
            "hum": "kept",
            "evidence": "any",
            "call": "once a segment",
            "aggregation": "median",
            "thresholds": "ai 0.5, unsure 0.5",
            "in force": "ai 0.5 (model card), unsure 0.5 (model card)",
            "url": KNOWN_MODELS[V94].card["url"],
            "folder": str(self.models / V94),
            "size": f"{sum(sizes):,} bytes, 0.7 MB",
            f"sha256 of {V94_GRAPH}": files[V94_GRAPH],
            f"sha256 of {V94_DATA}": files[V94_DATA],
        }

    def test_song_and_inputs(self, tmp_path: Path) -> None:
        """Several inputs, the call and the limit of segments are shown."""
        self.install_own(write_song_model(tmp_path / "song"))
        self.install_own(write_inputs_model(tmp_path / "inputs"))
        song = self.run_lines("aimodel", "show", "song")
        assert "call: once a song" in song
        assert any(line.startswith("crop: even, 15 segments at most; ") for line in song)
        inputs = self.run_lines("aimodel", "show", "inputs")
        assert "input fine: 24000 samples at 24000 Hz, 1 s" in inputs
        assert "input coarse: 16000 samples at 16000 Hz, 1 s" in inputs

    def test_thresholds_in_force(self) -> None:
        """The thresholds that verdicts are made with, and where each comes from."""
        path = str(self.model_folder / "model.onnx")

        def in_force() -> str:
            lines = self.run_lines("aimodel", "show", path)
            (line,) = (line for line in lines if line.startswith("in force: "))
            return line

        assert in_force() == "in force: ai 0.5 (model card), unsure 0.3 (model card)"
        self.configure(ai_threshold=0.2)
        assert in_force() == "in force: ai 0.2 (config), unsure 0.2 (config)"
        saved = self.folder / "artifactnet" / "thresholds.json"
        save_thresholds(saved, {LABEL: {"ai": 0.7, "unsure": 0.6}})
        self.configure(ai_threshold=0.9)
        assert in_force() == "in force: ai 0.9 (config), unsure 0.6 (saved calibration)"
        self.configure(ai_threshold=None, unsure_threshold=0.4)
        assert in_force() == "in force: ai 0.7 (saved calibration), unsure 0.4 (config)"

    @pytest.mark.parametrize("name", ["default", "finecomb"])
    def test_bundled(self, name: str) -> None:
        """The bundled model is shown by its id and as the default."""
        assert "model_id: finecomb" in self.run_lines("aimodel", "show", name)

    @pytest.mark.parametrize("name", KNOWN_MODELS)
    def test_known(self, name: str) -> None:
        """Of a model that is not there, licence and how to get it are shown."""
        lines = self.run_lines("aimodel", "show", name)
        assert f"licence: {KNOWN_MODELS[name].card['licence']}" in lines
        assert lines[-1] == f"how to get it: {KNOWN_MODELS[name].how}"

    def test_unknown(self) -> None:
        """A name that is no model's is one line that names those that there are."""
        assert "there is no model 'xxx" in self.failure("show", "x" * 300)
        assert self.failure("show", "none").startswith("artifactnet: there is no model 'none'")


class TestInstall(ModelsHelper):
    def test_licence_is_shown(self) -> None:
        """Licence and patent notice come before the download, also where they are accepted."""
        lines = self.install_v94()
        assert lines == [
            "licence: CC BY-NC 4.0",
            "notice: not for commercial use; its author states that patents are pending "
            "(KR, PCT)",
            f"installed {V94_LABEL} (0.7 MB) in {self.models / V94}; "
            f"`model: {V94}` puts it to use",
        ]

    def test_refused_under_a_pipe(self) -> None:
        """Nobody who could be asked: nothing is fetched."""
        self.write_config()
        done = self.beet("aimodel", "install", V94, "--base-url", self.server.url)
        assert done.returncode == 1
        assert done.stdout.splitlines()[0] == "licence: CC BY-NC 4.0"
        assert done.stderr.splitlines()[-1] == (
            f"error: artifactnet: {NOT_A_TERMINAL}: accept it with {ACCEPT}"
        )
        assert self.server.requests == []
        assert not self.models.exists()

    @pytest.mark.slow
    def test_accepted_on_a_terminal(self) -> None:
        """A terminal is asked, and sees a progress bar for each file."""
        args = ("aimodel", "install", V94, "--base-url", self.server.url)
        status, seen = self.in_terminal("y\n", *args)
        assert status == 0, seen
        question = seen.index("Accept this licence?")
        assert seen.index("notice: not for commercial use") < question
        assert question < seen.index(f"installed {V94_LABEL}")
        assert seen.count("100%") >= 2
        assert (self.models / V94 / V94_DATA).is_file()

    def test_declined_on_a_terminal(self) -> None:
        """No means no."""
        args = ("aimodel", "install", V94, "--base-url", self.server.url)
        status, seen = self.in_terminal("n\n", *args)
        assert status == 1
        assert seen.splitlines()[-1].endswith("nothing was changed")
        assert self.server.requests == []

    @pytest.mark.slow
    def test_no_bar_in_a_pipe(self) -> None:
        """Scripts see lines, and nothing on standard error."""
        self.write_config()
        done = self.beet("aimodel", "install", V94, "--base-url", self.server.url, ACCEPT)
        assert (done.returncode, done.stderr) == (0, "")

    def test_already_installed(self) -> None:
        """A second installation says so and fetches nothing; --force does it anew."""
        self.install_v94()
        n_requests = len(self.server.requests)
        assert self.install_v94() == [f"{V94} is installed already; --force installs it anew"]
        assert len(self.server.requests) == n_requests
        assert self.install_v94("--force")[-1].startswith(f"installed {V94_LABEL}")
        assert len(self.server.requests) == n_requests + 2

    @pytest.mark.slow
    def test_from_a_folder(self) -> None:
        """Files that were downloaded by hand need no server, but the licence all the same."""
        source = f"--from={self.server.folder}"
        self.write_config()
        assert NOT_A_TERMINAL in self.beet("aimodel", "install", V94, source).stderr
        self.run_lines("aimodel", "install", V94, source, ACCEPT)
        assert self.server.requests == []
        assert self.run_lines("aimodel", "check", V94)[-1].startswith("ok run")

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (web.says(404), f"{V94_GRAPH}: the server answered 404 (Not Found)"),
            (web.redirects("http://example.org/x"), "http://example.org/x: models are fetched"),
            (web.announces("0" * 64), "is not the file that the server announced"),
            (web.truncates(99), "is no ONNX file, or a damaged one"),
        ],
    )
    def test_failures_are_one_line(self, answer: web.Answer, message: str) -> None:
        """A failed download is beets' own one line, and nothing is left of it."""
        self.server.answers.append(answer)
        url = f"--base-url={self.server.url}"
        assert message in self.failure("install", V94, url, ACCEPT)
        assert list(self.models.iterdir()) == []

    @pytest.mark.slow
    def test_timeout(self) -> None:
        """How long a silent server is waited for can be chosen."""
        self.server.answers += [web.hangs, web.says(404)]
        url = f"--base-url={self.server.url}"
        line = self.failure("install", V94, url, ACCEPT, "--timeout=0.2")
        assert line.endswith("the server answered 404 (Not Found)")

    def n_bytes_incoming(self) -> int:
        """Return how much of a download is on the disk."""
        found = self.models.glob(".incoming-*/**/*")
        return sum(path.stat().st_size for path in found if path.is_file())

    @pytest.mark.slow
    def test_interrupted(self) -> None:
        """Ctrl-C in the middle of a download leaves nothing behind."""
        self.write_config()
        self.server.answers += [web.serve, web.hangs_after(99_000)]
        args = ("aimodel", "install", V94, "--base-url", self.server.url, ACCEPT)
        beet = self.start_beet(*args)
        try:
            assert wait_for(lambda: self.n_bytes_incoming() > 50_000)
            assert [path.name[:10] for path in self.models.iterdir()] == [".incoming-"]
            beet.send_signal(signal.SIGINT)
            _, error = beet.communicate(timeout=30)
        finally:
            beet.kill()
        assert (beet.returncode, error) == (130, "")
        assert list(self.models.iterdir()) == []

    def test_own(self, tmp_path: Path) -> None:
        """One's own model, with external data, by graph and card."""
        folder = write_external_model(tmp_path / "mine")
        (line,) = (line for line in self.install_own(folder) if line.startswith("installed"))
        assert line.startswith(f"installed {LABEL} (0.0 MB) in {self.models / 'loudness'}")
        assert self.run_lines("aimodel", "check", "loudness")[-1].startswith("ok run")

    def test_own_by_a_known_card(self, tmp_path: Path) -> None:
        """The card of a model that has no address is known here: its file is enough."""
        folder = write_song_model(tmp_path, sample_rate=44_100, segment_samples=176_400)
        graph = str(folder / "model.onnx")
        lines = self.run_lines("aimodel", "install", graph, "--card", "artifactnet-raw")
        assert lines[0] == "licence: unpublished: ask its author"
        assert lines[-1].startswith("installed artifactnet-raw-1.2 ")

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (("none",), "'none' is no model that is known here"),
            (("clam",), "clam cannot be downloaded: from its authors' weights: python -m "),
            (("artifactnet-raw",), "cannot be downloaded: beet aimodel install PATH.onnx"),
            (("finecomb",), "'finecomb' is no model that is known here"),
            (("model.onnx",), "needs its card: --card CARD.json"),
            (("model.onnx", "--card", "none.json"), "none.json: No such file or directory"),
            ((V94, "--card", "x.json"), "--card describes a PATH.onnx"),
            ((V94, "--from", "a", "--base-url", "b"), "exclude each other"),
            (
                ("x.onnx", "--card", "c", "--from", "a"),
                "exclude each other: for models known",
            ),
            ((V94, "--from", "/none", ACCEPT), f"/none/{V94_GRAPH}: No such file or directory"),
            (
                (V94, "--base-url", "http://example.org", ACCEPT),
                "models are fetched over https",
            ),
            (("~none/x.onnx", "--card", "~none/c.json"), "~none/c.json: No such file"),
            ((V94, "--from", "~none/x", ACCEPT), "No such file or directory"),
            (("x" * 5_000 + ".onnx", "--card", "artifactnet-raw"), "File name too long"),
            (("model.onnx", "--card", "x" * 5_000), "File name too long"),
            ((V94, "--timeout", "0"), "--timeout is 0"),
            ((V94, "--timeout", "nan"), "--timeout is nan"),
            (("a", "b"), "usage: beet aimodel"),
            ((), "usage: beet aimodel"),
        ],
    )
    def test_what_is_asked_wrongly(self, args: tuple[str, ...], message: str) -> None:
        """Each has its line, and leaves no folder behind."""
        assert message in self.failure("install", *args)
        assert not self.models.exists() or list(self.models.iterdir()) == []

    def test_bundled_id(self, tmp_path: Path) -> None:
        """No model takes the bundled one's id."""
        folder = write_model(tmp_path, model_id="finecomb")
        graph, card = str(folder / "model.onnx"), str(folder / "card.json")
        line = self.failure("install", graph, "--card", card, "--force")
        assert "the id finecomb means something else" in line


class TestRemove(ModelsHelper):
    def test_removed(self) -> None:
        """With --yes it goes without a question."""
        self.install_v94()
        assert self.run_lines("aimodel", "remove", V94, "--yes") == [f"removed {V94}"]
        assert list(self.models.iterdir()) == []

    @pytest.mark.slow
    def test_asked_on_a_terminal(self) -> None:
        """A terminal is asked, and no is no."""
        self.install_v94()
        status, seen = self.in_terminal("n\n", "aimodel", "remove", V94)
        assert status == 1
        assert f"Remove {self.models / V94}?" in seen
        assert (self.models / V94).is_dir()
        status, _ = self.in_terminal("y\n", "aimodel", "remove", V94)
        assert status == 0
        assert list(self.models.iterdir()) == []

    @pytest.mark.slow
    def test_nobody_to_ask(self) -> None:
        """In a pipe it stays, and --yes is named."""
        self.install_v94()
        self.write_config()
        done = self.beet("aimodel", "remove", V94)
        assert done.returncode == 1
        assert done.stderr == f"error: artifactnet: {NOT_A_TERMINAL}: confirm with --yes\n"
        assert (self.models / V94).is_dir()

    def test_broken(self) -> None:
        """A broken model can be removed."""
        change_card(write_model(self.models / "broken"), crop=3)
        assert self.run_lines("aimodel", "remove", "broken", "-y") == ["removed broken"]

    @pytest.mark.parametrize("name", ["default", "finecomb"])
    def test_bundled(self, name: str) -> None:
        """The bundled model stays."""
        assert "came with the plugin" in self.failure("remove", name, "-y")

    def test_what_is_not_there(self) -> None:
        """A model that is not installed cannot be removed; the line says which are."""
        assert self.failure("remove", V94, "-y").endswith("is installed; installed: none")


class TestCheck(ModelsHelper):
    def test_the_one_in_use(self) -> None:
        """Without a name the configured model is checked, a line a step."""
        path = str(self.model_folder / "model.onnx")
        self.configure(model=path)
        card, files, hashes, session, contract, run = self.run_lines("aimodel", "check")
        assert card == f"ok card: {LABEL} in {self.model_folder}"
        assert files == "ok files: 1, 0.0 MB"
        assert hashes == "ok hashes: 1 as the card names them"
        assert re.fullmatch(r"ok session: onnxruntime [\d.]+, CPUExecutionProvider", session)
        assert contract == "ok contract: audio tensor(float) ['batch', 8000] -> score"
        pattern = r"ok run: [\d.]+ ms a segment \(median of 5\), 5 of 5 outputs finite"
        assert re.fullmatch(pattern, run)

    @pytest.mark.parametrize("write", [write_song_model, write_inputs_model])
    def test_other_contracts(self, write: Any, tmp_path: Path) -> None:
        """Models of one call a song and of several inputs are run as they are meant."""
        folder = write(tmp_path)
        self.configure(model=str(folder / "model.onnx"))
        assert self.run_lines("aimodel", "check")[-1].endswith("5 of 5 outputs finite")

    def test_outputs_that_are_not_finite(self, tmp_path: Path) -> None:
        """They are counted; a model that gives no other is broken."""
        folder = write_model(tmp_path / "some", rule="nan_if_hot")
        self.lower_nan(folder)
        self.configure(model=str(folder / "model.onnx"))
        last = self.run_lines("aimodel", "check")[-1]
        found = re.search(r"(\d) of 5 outputs finite", last)
        assert found is not None
        assert 0 < int(found[1]) < 5
        write_model(tmp_path / "all", rule="all_nan")
        self.configure(model=str(tmp_path / "all" / "model.onnx"))
        assert "gave no finite probability in 5 runs on noise" in self.failure("check")

    @staticmethod
    def lower_nan(folder: Path) -> None:
        """Let the model answer NaN where the first sample is above 0."""
        model = onnx.load(folder / "model.onnx")
        (hot,) = (given for given in model.graph.initializer if given.name == "hot")
        hot.CopyFrom(numpy_helper.from_array(np.array([0.0], np.float32), "hot"))
        onnx.save(model, folder / "model.onnx")
        change_card(folder, files=checksums(folder, "model.onnx"))

    def test_failures_by_step(self, tmp_path: Path) -> None:
        """Each broken thing fails its own step, behind the steps that went well."""
        cases: list[tuple[str, int, str]] = [
            ("missing", 1, "No such file or directory; reinstall it"),
            ("changed", 2, "is not the file that its card names"),
            ("not ONNX", 2, "is no ONNX file, or a damaged one"),
            ("inputs", 3, "its card names sound"),
            ("logit", 5, "is it a logit?"),
        ]
        self.write_config()
        for name, n_ok, message in cases:
            folder = tmp_path / name
            rule: Any = "out_of_range" if name == "logit" else "loudness"
            write_model(folder, rule=rule)
            graph = folder / "model.onnx"
            if name == "missing":
                graph.unlink()
            elif name == "changed":
                graph.write_bytes(graph.read_bytes() + b"\0")
            elif name == "not ONNX":
                graph.write_bytes(b"<html>")
                change_card(folder, files=checksums(folder, "model.onnx"))
            elif name == "inputs":
                given = {"name": "sound", "sample_rate": 8_000, "segment_samples": 8_000}
                change_card(folder, input=given)
            with pytest.raises(UserError, match=re.escape(message)):
                self.run_lines("aimodel", "check", str(graph))
            out = self.last_output()
            assert [line[:3] for line in out] == ["ok "] * n_ok, (name, out)

    def last_output(self) -> list[str]:
        """Return what the last command printed before it failed."""
        out: str = self.io.getoutput()
        return out.splitlines()

    @pytest.mark.slow
    def test_exit_status(self) -> None:
        """A script sees 0 and 1."""
        self.write_config(artifactnet={"model": str(self.model_folder / "model.onnx")})
        assert self.beet("aimodel", "check").returncode == 0
        (self.model_folder / "model.onnx").unlink()
        done = self.beet("aimodel", "check")
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1

    def test_interrupted(self) -> None:
        """Ctrl-C while a model computes ends the command at once and leaves no process."""
        slow_down(self.model_folder, 6_000)
        self.configure(model=str(self.model_folder / "model.onnx"))
        self.write_config()
        beet = self.start_beet("aimodel", "check", start_new_session=True)
        try:
            assert beet.stdout is not None
            while not beet.stdout.readline().startswith("ok contract"):
                assert beet.poll() is None
            beet.send_signal(signal.SIGINT)
            _, error = beet.communicate(timeout=30)
        finally:
            beet.kill()
        assert (beet.returncode, error) == (130, "")
        assert wait_for(lambda: not group_exists(beet.pid))

    @pytest.mark.slow
    def test_interrupted_self_test(self) -> None:
        """Ctrl-C among the known signals leaves none of their files behind."""
        temporary = self.folder / "temporary"
        temporary.mkdir()
        self.write_config()
        variables = {**os.environ, "TMPDIR": str(temporary)}
        beet = self.start_beet("aimodel", "check", "finecomb", env=variables)
        try:
            assert wait_for(lambda: any(temporary.glob("*/signal.*")))
            beet.send_signal(signal.SIGINT)
            _, error = beet.communicate(timeout=30)
        finally:
            beet.kill()
        assert (beet.returncode, error) == (130, "")
        assert list(temporary.iterdir()) == []

    def test_time_limit(self) -> None:
        """A step that takes longer than was asked for is ended, in one line."""
        slow_down(self.model_folder, 4_000)
        path = str(self.model_folder / "model.onnx")
        line = self.failure("check", path, "--timeout=1")
        assert line == "artifactnet: the model is given up: it takes longer than 1 s"
        assert "--timeout is 0" in self.failure("check", path, "--timeout=0")


class TestHostileModels(ModelsHelper):
    """Whatever lies in a model's folder or stands in it, each costs one harmless line."""

    def replace(self, path: Path, kind: str) -> None:
        """Put something in a file's place that never ends, or blocks whoever opens it."""
        path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            here = os.open(path.parent, os.O_RDONLY)
            with closing(socket.socket(socket.AF_UNIX)) as listener:
                # The path itself may be longer than that of a socket can be.
                listener.bind(f"/proc/self/fd/{here}/{path.name}")
            os.close(here)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "folder":
            path.mkdir()
        else:
            with path.open("wb") as file:
                file.truncate(3 << 30)  # no block of it is on the disk

    @pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "huge"])
    @pytest.mark.parametrize("name", ["card.json", "model.onnx", "weights.bin"])
    def test_files_that_are_none(self, name: str, kind: str, tmp_path: Path) -> None:
        """They are refused before they are opened, by every way to a model."""
        folder = write_external_model(tmp_path / "loudness")
        (self.models).mkdir(parents=True)
        shutil.copytree(folder, self.models / "loudness")
        for at in (folder, self.models / "loudness"):
            self.replace(at / name, kind)
        reason = "is larger than" if kind == "huge" else "is no regular file"
        graph = str(folder / "model.onnx")
        card = tmp_path / "card.json"
        card.write_bytes((write_external_model(tmp_path / "b") / "card.json").read_bytes())
        if name == "card.json":
            card = folder / "card.json"
        assert f"{name} {reason}" in self.failure("check", graph)
        assert f"{name} {reason}" in self.failure("show", graph)
        assert f"{name} {reason}" in self.failure("install", graph, f"--card={card}", "-f")
        (line,) = (line for line in self.run_lines("aimodel", "list") if "loudness" in line)
        assert "broken" in line
        assert f"{name} {reason}" in line
        self.run_lines("aimodel", "remove", "loudness", "--yes")
        assert list(self.models.iterdir()) == []

    @pytest.mark.parametrize("field", ["notice", "licence", "architecture", "error_rates"])
    def test_a_long_value(self, field: str) -> None:
        """Of a value of 3 MB, a line is shown."""
        value: object = "x" * 3_000_000
        change_card(self.model_folder, **{field: {"n": value} if "_" in field else value})
        path = str(self.model_folder / "model.onnx")
        lines = self.run_lines("aimodel", "show", path)
        (line,) = (line for line in lines if line.startswith(f"{field}: "))
        assert len(line) == LINE_LIMIT
        lines = self.run_lines("aimodel", "install", path, f"--card={path[:-10]}card.json")
        assert max(len(line) for line in lines) <= LINE_LIMIT

    @pytest.mark.parametrize("field", ["crop", "model_id", "thresholds", "files", "nonsense"])
    def test_a_long_value_that_is_wrong(self, field: str) -> None:
        """An error that quotes a value of 3 MB is a line that still says what is allowed."""
        change_card(self.model_folder, **{field: "x" * 3_000_000})
        line = self.failure("show", str(self.model_folder / "model.onnx"))
        assert len(line) <= LINE_LIMIT + len("artifactnet: ")
        assert line.endswith(("'", "object", "thresholds, url, version", "100 at most"))

    def test_a_graphs_words(self) -> None:
        """The names in a graph that fails when it runs reach a terminal escaped, once."""
        graph = helper.make_graph(
            [helper.make_node("Reshape", ["audio", "shape"], ["score"], name="\x1b[2J\nred")],
            "fails",
            [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["batch", 8_000])],
            [helper.make_tensor_value_info("score", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.array([3, 7], np.int64), "shape")],
        )
        self.write_graph(graph)
        self.write_config()
        done = self.beet("aimodel", "check")
        assert done.returncode == 1
        assert "\x1b" not in done.stdout + done.stderr
        (line,) = done.stderr.splitlines()
        assert "failed to run" in line
        assert "\\x1b[2J" in line

    @pytest.mark.parametrize("kind", ["text", "sequence"])
    def test_outputs_that_are_no_numbers(self, kind: str) -> None:
        """A model that answers in words is refused when it is opened, by installing too."""
        node = helper.make_node("Cast", ["audio"], ["score"], to=TensorProto.STRING)
        given = helper.make_tensor_value_info("score", TensorProto.STRING, ["batch", 8_000])
        if kind == "sequence":
            node = helper.make_node("SequenceConstruct", ["audio"], ["score"])
            given = helper.make_tensor_sequence_value_info("score", TensorProto.FLOAT, None)
        audio = helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["batch", 8_000])
        self.write_graph(helper.make_graph([node], "words", [audio], [given]))
        path = str(self.model_folder / "model.onnx")
        assert self.failure("check").endswith("as score; numbers are needed")
        card = f"--card={self.model_folder / 'card.json'}"
        assert self.failure("install", path, card).endswith("numbers are needed")

    def write_graph(self, graph: onnx.GraphProto) -> None:
        """Put a graph in the place of the model in use."""
        opsets = [helper.make_opsetid("", 17)]
        path = self.model_folder / "model.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        change_card(self.model_folder, files=checksums(self.model_folder, "model.onnx"))
        self.configure(model=str(path))


class TestMainProcess(ModelsHelper):
    PROGRAM = (
        "import sys\nfrom beets.ui import main\ntry:\n    main()\n"
        "finally:\n    print(sorted({'onnxruntime', 'requests'} & {*sys.modules}))\n"
    )

    @pytest.mark.parametrize(
        "args",
        [
            ("list",),
            ("show", "loudness"),
            ("check", "loudness"),
            ("install", "loudness/model.onnx", "--card=loudness/card.json", "-f"),
        ],
    )
    def test_never_imports_onnxruntime(self, args: tuple[str, ...]) -> None:
        """The process that people talk to runs no model, and what it needs it needs alone."""
        write_model(self.models / "loudness")
        self.write_config()
        done = subprocess.run(
            [sys.executable, "-c", self.PROGRAM, "aimodel", *args],
            capture_output=True,
            text=True,
            cwd=self.models,
            check=True,
            timeout=60,
        )
        assert "onnxruntime" not in done.stdout.splitlines()[-1]
        assert len(done.stdout.splitlines()) > 1


class TestFromInstallationToRemoval(ModelsHelper):
    def test_a_models_life(self) -> None:
        """Installed, in use, checked, beside another one's scores, and removed."""
        first = self.add_file(write_track(self.lib_path / "first.flac", "ai"), title="First")
        self.configure(model=str(self.model_folder / "model.onnx"))
        self.run_lines("artifactnet")
        self.install_v94()
        self.configure(model=V94)

        # What the other model scored stays, and is told.
        second = self.add_file(
            write_track(self.lib_path / "second.flac", "real"), title="Second"
        )
        assert self.run_lines("artifactnet")[-1].endswith(", 1 outdated (--outdated)")
        first, second = self.get("First"), self.get("Second")
        assert own(first, Field.MODEL) == MODEL
        assert own(second, Field.MODEL) == scored_by(V94_LABEL)
        assert state(first, V94_LABEL) is State.STALE
        assert own(second, Field.SCORE) == pytest.approx(0.1 / 2, abs=0.01)
        assert own(second, Field.SEGMENTS) == 1

        self.run_lines("artifactnet", "--outdated")
        assert own(self.get("First"), Field.MODEL) == scored_by(V94_LABEL)
        assert self.run_lines("aimodel", "check")[-1].startswith("ok run: ")

        assert self.run_lines("aimodel", "remove", V94, "--yes") == [
            f"`model: {V94}` of the configuration names it: nothing can be scored until "
            f"that is changed",
            "2 tracks keep the scores that it gave, outdated for any other model",
            f"removed {V94}",
        ]
        with pytest.raises(UserError) as caught:
            self.run_lines("ai")
        assert str(caught.value).startswith(
            f"artifactnet: there is no model '{V94}': set `model:` to one of default, "
        )
        assert own(self.get("First"), Field.MODEL) == scored_by(V94_LABEL)
        self.configure(model="default")
        assert self.run_lines("ai") == [
            "nothing to score: 2 tracks have a score, 2 outdated (--outdated)"
        ]

    def test_a_changed_file_is_noticed(self) -> None:
        """The recorded sha256 are verified at every load."""
        self.install_v94()
        data = self.models / V94 / V94_DATA
        data.write_bytes(data.read_bytes()[:-1] + b"\0")
        self.add_file(write_track(self.lib_path / "one.flac"), title="One")
        self.configure(model=V94)
        with pytest.raises(UserError, match=r"is not the file that its card names.*reinstall"):
            self.run_lines("artifactnet")
        self.install_v94("--force")
        assert self.run_lines("artifactnet")[-1].startswith("1 scored")

    def test_a_moved_library(self) -> None:
        """An installed model is a folder that can be copied to another machine."""
        self.install_v94()
        shutil.move(self.models / V94, self.models / "elsewhere")
        out = self.run_lines("aimodel", "list")
        (line,) = (line for line in out if "elsewhere" in line)
        assert f"its card says model_id '{V94}'" in line
