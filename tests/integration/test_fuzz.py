"""The fuzzer runs every target, and can fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import faye_redis
from fuzz import TARGETS
from fuzz.values import TEMPLATES
from support.requirements import require

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"
PACKAGE = Path(faye_redis.__file__).parent
RUNS = 2000
ESCAPE = r'(b"<", b"\\u003c"), '


@pytest.fixture(autouse=True)
def atheris() -> None:
    require(find_spec("atheris"), "no atheris here")


def fuzz(*arguments: str, code: Path, directory: Path) -> tuple[int, list[str]]:
    """Exit code and lines of ``python -m fuzz`` over the package in ``code``."""
    path = os.pathsep.join(map(str, (code, CONTRIB)))
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", *arguments], cwd=directory, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE)
    return done.returncode, done.stdout.splitlines()


def test_every_target_gets_its_share_and_finds_nothing(tmp_path: Path) -> None:
    status, lines = fuzz("all", "--runs", str(RUNS), code=PACKAGE.parent, directory=tmp_path)
    assert (status, lines[-1]) == (0, f"total: {RUNS} cases, findings: 0"), lines
    shares = dict(re.findall(r"^(\w+): (\d+) cases", "\n".join(lines), re.MULTILINE))
    assert list(shares) == [*TARGETS, "total"]
    assert {int(shares[target]) for target in TARGETS} == {
        RUNS // len(TARGETS), RUNS // len(TARGETS) + 1}
    assert list(tmp_path.iterdir()) == []


def test_every_verb_is_reached(tmp_path: Path) -> None:
    _, lines = fuzz("envelope", "--runs", str(RUNS), code=PACKAGE.parent, directory=tmp_path)
    outcomes = re.split(r"; |\n", "\n".join(line.strip() for line in lines[1:-1]))
    succeeded = {outcome.rpartition(" ")[0] for outcome in outcomes}
    verbs = {template.get("channel", "/a/b") for template in TEMPLATES} - {"/a/b"}
    assert succeeded >= {*verbs, "publish"}


def test_a_mistake_is_found_told_and_found_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(PACKAGE, broken / PACKAGE.name)
    module = broken / PACKAGE.name / "transports" / "http.py"
    sound = module.read_text()
    assert ESCAPE in sound
    module.write_text(sound.replace(ESCAPE, ""))
    status, lines = fuzz("jsonp", code=broken, directory=tmp_path)
    assert status == 1 and lines[-1].endswith("cases, findings: 1"), lines
    [saved] = (tmp_path / "fuzz-findings").iterdir()
    assert f"    again: contrib/fuzz/run jsonp --replay fuzz-findings/{saved.name}" in lines
    replay = ("jsonp", "--replay", str(saved))
    assert fuzz(*replay, code=broken, directory=tmp_path)[0] == 1
    assert fuzz(*replay, code=PACKAGE.parent, directory=tmp_path)[0] == 0
