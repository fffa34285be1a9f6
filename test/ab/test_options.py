"""What is not accepted costs one line that names the option, the value and what is."""

import pytest


@pytest.mark.parametrize("args, words", [
    (["--runs", "0", "--", "true"], ["--runs", "'0'", "from 1 to 10000"]),
    (["--runs", "x", "--", "true"], ["--runs", "'x'", "whole number"]),
    (["--timeout", "-1", "--", "true"], ["--timeout", "'-1'", "0.1"]),
    (["--wait-port", "70000", "--load", "x", "--", "true"],
     ["--wait-port", "'70000'", "HOST:PORT"]),
    (["--sweep", "N", "--", "true"], ["--sweep", "'N'", "NAME=VALUE"]),
    (["--sweep", "N=", "--", "{N}"], ["--sweep", "'N='", "N=10,100"]),
    (["--sweep", "N=1,2", "--", "true"], ["--sweep N", "{N} is neither"]),
    (["--metric", "a=(", "--", "true"], ["--metric", "'a=('", "missing )"]),
    (["--metric", "a=b", "--", "true"], ["--metric", "'a=b'", "group"]),
    (["--set", "X=1", "--", "true"], ["--set", "'X=1'", "GMP_SHIM_NAME=VALUE"]),
    (["--format", "ab", "--", "true"], ["--format", "'ab'", "wrk"]),
    (["--stdin", "/nowhere", "--", "true"], ["--stdin", "'/nowhere'", "can be read"]),
    (["--html", "/nowhere/x", "--", "true"], ["--html", "'/nowhere/x'", "folder"]),
    (["--load", "x", "--", "true"], ["--load", "--wait-port"]),
    (["--wait-port", "1", "--", "true"], ["--load", "--wait-port"]),
    (["--prepare", "x", "--", "true"], ["--prepare", "--load"]),
    (["--same-output", "--load", "x", "--wait-port", "1", "--", "true"],
     ["--same-output", "--check"]),
    (["--own-pace", "--", "true"], ["--own-pace", "--metric"]),
    (["--peer", "x", "--", "true"], ["--peer", "'x'", "NAME=COMMAND"]),
    (["--peer", "shim=x", "--", "true"], ["--peer", "'shim=x'", "native or shim"]),
    (["--alive", "x", "--", "true"], ["--alive", "'x'", "{NAME}"]),
    (["--alive", "9", "--", "true"], ["--alive", "nothing to compare"]),
    (["--alive", "{M}", "--peer", "a=b", "--sweep", "N=1", "--", "{N}"],
     ["--alive {M}", "--sweep"]),
    (["--note", "x", "--", "true"], ["--note", "'x'", "NAME=TEXT"]),
    (["--markdown", "-", "--", "true"], ["--markdown", "file"]),
    (["--only", "x", "--", "true"], ["--only", "--suite"]),
    (["--frobnicate", "--", "true"], ["--frobnicate"]),
    ([], ["no command"]),
])
def test_refused(ab, args, words):
    assert ab(*args) == 2
    assert ab.err.startswith("gmp-ab: ") and ab.err.count("\n") == 1
    for word in words:
        assert word in ab.err


def test_what_cannot_be_shimmed(ab):
    """A static program: gmp-run's reason, and no figures of native against native."""
    from conftest import BUILD

    launcher = BUILD / "gmp-ab-launch"
    assert ab("--runs", 1, "--", launcher) == 1
    assert "statically linked" in ab.err
    assert ab("--runs", 1, "--", "no-such-program") == 1
    assert "no-such-program: not found" in ab.err
