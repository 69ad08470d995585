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

from tests.support.beets_library import ArtifactNetHelper
from tests.support.faults import failing, needs_faults

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

    @needs_faults
    @pytest.mark.parametrize(
        ("code", "at"),
        [
            (errno.EIO, "read"),
            (errno.ESTALE, "read"),
            (errno.EACCES, "open"),
            (errno.EMFILE, "open"),
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

    def test_a_long_name_of_the_temporary_folder(self, tmp_path: Path) -> None:
        """No socket has to fit into it."""
        folder = tmp_path / ("t" * 111)
        folder.mkdir()
        done = self.run_beet("ai", env={**os.environ, "TMPDIR": str(folder)})
        assert (done.returncode, done.stderr) == (0, "")
        assert list(folder.iterdir()) == []
