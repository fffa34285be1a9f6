"""What the tests of gmp-ab share. It is called in this process, except where signals and
terminals matter; programs are shell commands that can tell how they are run."""

import json
import os
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD_DIR", SOURCE / "build"))
GMP_AB = SOURCE / "scripts/gmp-ab"
BENCH = BUILD / "test/bench"

sys.path.insert(0, str(SOURCE / "scripts"))

from gmpab import cli  # noqa: E402

# In a shell: true under the shim.
SHIMMED = 'case "$LD_PRELOAD" in *libgmp_shim.so*) true;; *) false;; esac'


class Ab:
    def __init__(self, folder: Path, capsys) -> None:
        self.folder = folder
        self.capsys = capsys

    def __call__(self, *args: object) -> int:
        """gmp-ab's exit status; what it said is in out and err, figures in report."""
        self.json = self.folder / "report.json"
        words = [str(a) for a in args]
        if not {"--compare", "--json"} & set(words):
            words = ["--json", str(self.json), *words]
        try:
            status = cli.main(words, SOURCE / "scripts")
        except SystemExit as e:
            status = e.code
        said = self.capsys.readouterr()
        self.out, self.err = said.out, said.err
        return status

    @property
    def report(self) -> dict:
        return json.loads(self.json.read_text())

    @property
    def point(self) -> dict:
        return self.report["comparisons"][0]["points"][0]


@pytest.fixture
def ab(tmp_path, capsys) -> Ab:
    return Ab(tmp_path, capsys)


@pytest.fixture
def script(tmp_path):
    """Writes a shell script that can be run."""

    def write(text: str, name: str = "program") -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return write
