"""A third side, one table of all, and Markdown with charts."""

import json
import xml.etree.ElementTree as xml

import pytest
from conftest import SHIMMED
from gmpab import charts

LINES = ["--format", "lines"]

needs_matplotlib = pytest.mark.skipif(
    not charts.available(), reason="no matplotlib: scripts/install-deps reference")


@pytest.fixture
def sides(script):
    """A program and a peer: native needs 8 us, the shim 2, the peer 4, times N."""
    program = script(f"{SHIMMED} && n=2 || n=8; echo time=$((n * ${{1:-1}})) us")
    return program, script(f"{SHIMMED} && exit 9; echo time=$((4 * ${{1:-1}})) us", "peer")


def row(ab, name: str) -> list[str]:
    line = next(x for x in ab.out.splitlines() if x.strip().startswith(name))
    return [x.strip() for x in line.strip().removeprefix(name).split("  ") if x.strip()]


def test_turns_and_ratios(ab, sides):
    program, peer = sides
    assert ab("-n", 2, "-w", 0, *LINES, "--peer", f"Go={peer}", "--", program) == 0
    assert [r["side"] for r in ab.point["runs"]] == [
        "native", "shim", "Go", "Go", "shim", "native"]
    assert row(ab, "program") == ["8.00 us", "2.00 us", "4.00 us", "4.00", "2.00"]


def test_intervals(ab, sides):
    program, peer = sides
    assert ab("-n", 5, "-w", 0, *LINES, "--peer", f"Go={peer}", "--", program) == 0
    assert row(ab, "program")[-1] == "2.00 (2.00 .. 2.00)"


def test_higher_is_better(ab, script):
    program = script(f"{SHIMMED} && echo rate=30 ops/s || echo rate=10 ops/s")
    ab("-n", 1, "-w", 0, *LINES, "--peer", "Go=echo rate=60 ops/s", "--", program)
    assert row(ab, "program") == ["10 ops/s", "30 ops/s", "60 ops/s", "3.00", "0.500"]


def test_native_is_left_out_where_it_cannot(ab, sides):
    program, peer = sides
    args = ["--sweep", "N=1,2000000000", "--alive", "{N}", "--peer", f"Go={peer} {{N}}"]
    assert ab("-n", 1, "-w", 1, *LINES, *args, "--", program, "{N}") == 0
    few, many = ab.report["comparisons"][0]["points"]
    assert few["skipped"] == {} and len(few["runs"]) == 3
    assert {r["side"] for r in many["runs"]} == {"shim", "Go"}
    assert "2,000,000,000 threads; the kernel has" in many["skipped"]["native"]
    assert row(ab, "program, 2,000,000,000 N") == [
        "-", "4,000 s", "8,000 s", "-", "2.00"]
    assert many["skipped"]["native"] in ab.out.replace("\n", " ")


def test_peer_that_fails(ab, sides, script):
    bad = script("exit 4", "bad")
    assert ab("-n", 1, *LINES, "--peer", f"Go={bad}", "--", sides[0]) == 1
    assert "native ended with exit 0, Go with exit 4" in ab.err


def test_hang_in_a_suite(ab, tmp_path, sides):
    """It is an error that is told, and the others go on."""
    program, peer = sides
    suite = tmp_path / "suite"
    suite.write_text(
        f'hangs: --format lines --peer "Go=sleep 60" -- {program}\n'
        f'goes on: --format lines --peer "Go={peer}" -- {program}\n')
    assert ab("-n", 1, "-w", 0, "--timeout", 2, "--suite", suite) == 1
    assert "hangs: Go: no end in 2 s" in ab.err and "Go: no end in 2 s" in ab.out
    assert row(ab, "goes on")[-1] == "2.00"


def self_contained(path) -> bool:
    """No element fetches anything, or runs."""
    for e in xml.parse(path).iter():
        links = [v for k, v in e.attrib.items() if k.endswith(("href", "src"))]
        if e.tag.endswith("script") or any(not v.startswith("#") for v in links):
            return False
    return True


@needs_matplotlib
def test_markdown(ab, tmp_path, sides):
    program, peer = sides
    suite, page = tmp_path / "suite", tmp_path / "r.md"
    suite.write_text(
        f'one | two: --format lines --peer "Go={peer}" -- {program}\n'
        "grows: --format lines --sweep threads=1,2,3,4,2000000000 --alive {threads} "
        f'--peer "Go={peer} {{threads}}" -- {program} {{threads}}\n')
    args = ["-n", 5, "-w", 0, "--suite", suite, "--note", "Go=go1.0"]
    assert ab(*args, "--markdown", page) == 0
    text = page.read_text()
    assert "Medians of 5 rounds" in text and "Go go1.0" in text
    assert ("| one \\| two | 8.00 us | 2.00 us | 4.00 us "
            "| 4.00 (4.00 .. 4.00) | 2.00 (2.00 .. 2.00) |") in text
    assert "| grows, 3 threads | 24.0 us | 6.00 us | 12.0 us |" in text
    assert "- grows, 2,000,000,000 threads: native: not run" in text
    for name in ("r-ratios.svg", "r-grows.svg"):
        assert f"({name})" in text and self_contained(tmp_path / name)
    assert len(list(tmp_path.glob("*.svg"))) == 2

    # The figures that were kept draw the same.
    again = tmp_path / "again"
    again.mkdir()
    assert ab("--from", ab.json, "--markdown", again / "r.md",
              "--json", tmp_path / "other.json") == 0
    assert (again / "r.md").read_text() == text
    assert json.loads((tmp_path / "other.json").read_text()) == ab_json(tmp_path)
    for name in ("r-ratios.svg", "r-grows.svg"):
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


def ab_json(folder) -> dict:
    return json.loads((folder / "report.json").read_text())


@needs_matplotlib
def test_markdown_of_two_sides(ab, tmp_path, sides):
    """Without a peer, too; and what could not be measured is said."""
    page = tmp_path / "r.md"
    assert ab("-n", 1, "-w", 0, *LINES, "--markdown", page, "--", sides[0]) == 0
    assert "| program | 8.00 us | 2.00 us | 4.00 |" in page.read_text()
    assert ab("-n", 1, "--markdown", page, "--", "no-such-program") == 1
    assert "no-such-program: not found" in page.read_text()
