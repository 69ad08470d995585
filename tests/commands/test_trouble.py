"""``beet artifactnet`` while the machine is in trouble: no file is blamed for it."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from beetsplug import artifactnet
from tests.support.beets_library import ArtifactNetHelper, write_track
from tests.support.faults import failing, needs_faults
from tests.support.onnx_models import write_model

pytestmark = pytest.mark.slow

N_TRACKS = 6


class TestTrouble(ArtifactNetHelper):
    """Commands in processes of their own."""

    def setup_beets(self) -> None:
        super().setup_beets()
        for number in range(N_TRACKS):
            self.add_track(f"Track {number}", "ai" if number % 2 else "real")
        # Trouble begins with two workers, and may end with one.
        self.configure(threads=2)
        self.write_config()

    def run_beet(
        self, *args: str, env: dict[str, str] | None = None, **limits: object
    ) -> subprocess.CompletedProcess[str]:
        """Run ``beet`` with these variables."""
        return subprocess.run(
            [sys.executable, "-m", "beets", *args],
            env=env,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            **limits,  # type: ignore[call-overload]
        )

    def stored(self) -> dict[str, dict[str, tuple[str, object]]]:
        """Return what each track has of ours, without when it was scored."""
        found = {item.title: self.rows(item) for item in self.lib.items()}
        for rows in found.values():
            rows.pop("ai_scored", None)
        return found

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
    @pytest.mark.parametrize(
        "args", [("ai",), ("ai", "--json"), ("ai", "-f", "-p"), ("aimodel", "list")]
    )
    def test_output_on_a_full_disk(self, args: tuple[str, ...]) -> None:
        """What cannot be printed ends the command in one line; results are stored."""
        self.run_command("ai", "-q")
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "beets", *args],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=100,
                check=False,
            )
        assert done.returncode == 1
        assert done.stderr == "error: artifactnet: [Errno 28] No space left on device\n"

    @pytest.mark.skipif(os.name != "posix", reason="a POSIX shell closes the outputs")
    def test_closed_outputs(self) -> None:
        """Nobody is told, and everything is scored."""
        beet = [sys.executable, "-m", "beets", "ai"]
        shell = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *beet]
        assert subprocess.run(shell, timeout=100, check=False).returncode == 0
        assert self.n_scored() == N_TRACKS

    @pytest.mark.skipif(os.name != "posix", reason="a POSIX shell closes the input")
    def test_a_closed_input(self) -> None:
        """Who cannot be asked is told so in one line."""
        beet = [sys.executable, "-m", "beets", "aireview", "--all"]
        shell = ["sh", "-c", 'exec "$@" <&-', "sh", *beet]
        done = subprocess.run(shell, timeout=100, check=False, capture_output=True, text=True)
        assert done.stderr.startswith("error: artifactnet: ")
        assert done.stderr.count("\n") == 1

    @needs_faults
    @pytest.mark.parametrize(
        ("code", "at"),
        [
            (errno.EIO, "read"),
            (errno.ESTALE, "read"),
            (errno.EACCES, "open"),
        ],
    )
    def test_one_file_cannot_be_read(self, code: int, at: str) -> None:
        """It keeps its older score, says why, and waits for ``--retry-failed``."""
        assert self.run_beet("ai").returncode == 0
        before = self.stored()
        done = self.run_beet("ai", "-f", env=failing(self.folder, "Track 3", code, at=at))
        assert done.returncode == 0
        after = self.stored()
        error = ("text", f"unavailable: {os.strerror(code)}")
        assert after.pop("Track 3") == {**before.pop("Track 3"), "ai_error": error}
        assert after == before
        assert self.run_beet("ai", "--retry-failed").returncode == 0
        assert "ai_error" not in self.stored()["Track 3"]

    @needs_faults
    def test_the_one_file_that_is_due_cannot_be_read(self) -> None:
        """Where others were scored before, one of them tells that it is this file alone."""
        item = self.get("Track 3")
        item["ai_error"] = "silent: x"
        item.store()
        assert self.run_beet("ai").returncode == 0
        del item["ai_error"]
        item.store()
        before = self.stored()
        done = self.run_beet("ai", env=failing(self.folder, "Track 3", errno.EIO))
        assert done.stderr.splitlines()[-1] == (
            "error: artifactnet: the file could not be scored"
        )
        error = ("text", f"unavailable: {os.strerror(errno.EIO)}")
        assert self.stored() == {**before, "Track 3": {"ai_error": error}}

    @needs_faults
    def test_too_few_handles_for_one_file(self) -> None:
        """It is left as it was, still due, and one line says what there is too little of."""
        done = self.run_beet("ai", env=failing(self.folder, "Track 3", errno.EMFILE))
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: artifactnet: stopped: {os.strerror(errno.EMFILE)}; ")
        assert self.stored()["Track 3"] == {}
        assert self.run_beet("ai").stdout.splitlines()[-1].startswith("1 scored")

    @pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory that is kept")
    @pytest.mark.parametrize("limit_mb", [170, 230, 245, 260])
    def test_little_memory(self, limit_mb: int) -> None:
        """Where processes get too little every file is scored or still due, none failed."""
        n_bytes = limit_mb << 20
        done = self.run_beet(
            "ai", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
        )
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") <= 1
        stored = self.stored()
        assert all("ai_error" not in rows for rows in stored.values())
        n_scored = sum("ai_score" in rows for rows in stored.values())
        assert done.returncode == (0 if n_scored == N_TRACKS else 1)

    @needs_faults
    @pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE])
    def test_no_file_can_be_read(self, code: int) -> None:
        """All items stay as they were, and one line names the cause."""
        assert self.run_beet("ai").returncode == 0
        before = self.stored()
        done = self.run_beet("ai", "-f", env=failing(self.folder, "Track", code))
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: artifactnet: stopped: ")
        assert os.strerror(code) in line
        assert self.stored() == before

    def test_the_disk_is_away(self) -> None:
        """Nothing is called missing while the music folder is empty."""
        shutil.move(self.lib_path, self.folder / "elsewhere")
        self.lib_path.mkdir()
        done = self.run_beet("ai")
        assert done.returncode == 1
        assert "is the disk mounted?" in done.stderr
        assert done.stderr.count("\n") == 1
        assert all(not rows for rows in self.stored().values())
        self.lib_path.rmdir()
        shutil.move(self.folder / "elsewhere", self.lib_path)
        assert self.run_beet("ai").stdout.splitlines()[-1].startswith(f"{N_TRACKS} scored")

    def test_few_file_handles(self) -> None:
        """With twenty file handles it works, or says in one line that it cannot."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))

        done = self.run_beet("ai", preexec_fn=limit)
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") <= 1
        scored = [rows for rows in self.stored().values() if "ai_score" in rows]
        assert len(scored) == (N_TRACKS if done.returncode == 0 else 0)

    def test_the_plugin_lies_in_pluginpath(self) -> None:
        """Workers run the code that beets has loaded, not another one that is installed."""
        plugins = self.folder / "plugins"
        package = Path(artifactnet.__file__).parent
        shutil.copytree(package, plugins / "artifactnet")
        version = plugins / "artifactnet" / "scoring" / "version.py"
        text = version.read_text(encoding="utf-8")
        version.write_text(f"{text}\nPIPELINE_VERSION = 98\n", encoding="utf-8")
        self.write_config(pluginpath=[str(plugins)])
        done = self.run_beet("ai")
        assert (done.returncode, done.stderr) == (0, "")
        models = {str(rows["ai_model"][1]) for rows in self.stored().values()}
        assert [model.rpartition("+")[2] for model in models] == ["98"]

    def test_a_long_name_of_the_temporary_folder(self, tmp_path: Path) -> None:
        """No socket has to fit into it."""
        folder = tmp_path / ("t" * 111)
        folder.mkdir()
        done = self.run_beet("ai", env={**os.environ, "TMPDIR": str(folder)})
        assert (done.returncode, done.stderr) == (0, "")
        assert list(folder.iterdir()) == []


def _can_mount() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    words = [unshare, "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


FULL = "mount -t tmpfs -o size=4k none {0} && head -c 4096 /dev/zero > {0}/full"
READ_ONLY = "mount -t tmpfs -o ro none {0}"
PLACES = ("/dev/shm", "/tmp", "/var/tmp")
HIDDEN = "a mount would hide the code"


@pytest.mark.skipif(not _can_mount(), reason="needs unshare, and mounts of one's own")
@pytest.mark.skipif(any(sys.executable.startswith(p) for p in PLACES), reason=HIDDEN)
@pytest.mark.skipif(any(__file__.startswith(p) for p in PLACES), reason=HIDDEN)
@pytest.mark.parametrize("how", [FULL, READ_ONLY], ids=["full", "read only"])
def test_no_place_for_temporary_files(how: str, tmp_path: Path) -> None:
    """Scoring needs neither shared memory nor a temporary folder; a check says it does."""
    write_track(tmp_path / "new" / "Track.flac", "ai")
    model = write_model(tmp_path / "model") / "model.onnx"
    (tmp_path / "config.yaml").write_text(
        "{plugins: artifactnet, directory: /mnt/music, library: /mnt/library.db, "
        "artifactnet: {model: /mnt/model/model.onnx}}"
    )
    assert model.is_file()
    script = [
        f"mount --bind {tmp_path} /mnt",
        *(f"[ ! -d {place} ] || {{ {how.format(place)}; }}" for place in PLACES),
        "mkdir /mnt/here && cd /mnt/here && "
        + READ_ONLY.format("/mnt/here")
        + " && cd /mnt/here",
        f'beet() {{ "{sys.executable}" -m beets "$@"; }}',
        "beet import -q -A -s /mnt/new",
        "beet ai -f",
        "beet aimodel check",
    ]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-ec", "\n".join(script)],
        env={**os.environ, "BEETSDIR": "/mnt", "TMPDIR": "/tmp"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "1 scored, 0 skipped, 1 flagged as ai" in done.stdout, done.stderr
    of_the_import, line = done.stderr.splitlines()
    assert of_the_import == "/mnt/new/Track.flac"
    assert line.startswith("error: artifactnet: [Errno 2] No usable temporary directory")
