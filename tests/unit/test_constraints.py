"""Pinned versions: what pyproject.toml asks for is pinned, within the asked range and as installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


PINNED = {
    plain(name): version
    for name, version in (line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
}


@pytest.mark.parametrize("text", ASKED)
def test_every_dependency_is_pinned_within_its_range(text: str) -> None:
    asked = Requirement(text)
    assert plain(asked.name) in PINNED, f"{asked.name} is not in constraints.txt"
    assert asked.specifier.contains(PINNED[plain(asked.name)])
