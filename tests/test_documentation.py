"""Every command that the pages show: those of README, tutorial and security are run as they stand; of all others commands and options must exist."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyrage
import pytest
import typer.main
import yaml

from jobs.lefi import app
from tests.kit import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPOKEN = re.compile(r"`(lefi [a-z][^`]*)`")
CLI: Any = typer.main.get_command(app)


def lines(page: Path) -> list[str]:
    """Every command line of ours on a page, in blocks and in sentences."""
    text = page.read_text("utf-8")
    of_blocks = [line for _, block in BLOCK.findall(text) for line in block.splitlines()]
    shown = [found[0] for line in of_blocks if (found := re.search(r"(?:^|[ /])lefi [a-z].*", line)) and not line.startswith(("#", "make"))]
    return [line.strip(" /") for line in shown] + SPOKEN.findall(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    for line in lines(page):
        command = line.split()[1]
        assert command in CLI.commands, line
        known = {option for parameter in CLI.commands[command].params for option in parameter.opts} | {"--help"}
        assert set(re.findall(r"(?<=\s)--[a-z][a-z-]*", line)) <= known, line


def run(script: str, folder: Path) -> str:
    """Run a page's commands in a shell that stops at the first that fails; what they printed."""
    tools = folder / ".tools"
    tools.mkdir()
    for name, program in {"lefi": "-m jobs.lefi", "python": ""}.items():
        path = tools / name
        path.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" {program} "$@"\n', "utf-8")
        path.chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_tutorial_comes_to_what_it_says(tmp_path: Path) -> None:
    blocks = [block for language, block in BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text("utf-8")) if language == "sh"]
    said = run("".join(blocks), tmp_path)
    assert "withheld: FK:SJP since 2026-01-06: NO_DROP" in said
    assert "no difference: every partner has been told what is visible" in said
    assert "persons are queued" in said
    assert re.search(r"LIVBOLAGET-TEST +│ +4 │ FK:SJP +│ SNAPSHOT", said)
    assert "holds" in said
    assert "sjukpenning" in (tmp_path / "notices" / "index.html").read_text("utf-8")


@pytest.mark.slow
def test_the_commands_of_readme_and_security_run(tmp_path: Path) -> None:
    """README's first night, then what security.md shows, in the same workspace; its key list lies beside."""
    (first,) = [block for _, block in BLOCK.findall((ROOT / "README.md").read_text("utf-8")) if "lefi init" in block]
    script = first.replace("make install\n", "").replace(".venv/bin/lefi", "lefi")
    signing, sending = (block for _, block in BLOCK.findall((ROOT / "docs" / "security.md").read_text("utf-8")) if "lefi " in block)
    shown = signing.replace("/etc/lefi/", "").replace("2026-01-05", "2026-01-06").splitlines()  # the first night is README's, unsigned
    signed = "\n".join(line for line in shown if "receive" not in line)
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "livbolaget.key").write_text(str(identity), "utf-8")
    (tmp_path / "livbolaget.pub").write_text(str(identity.to_public()), "utf-8")
    said = run("\n".join([script, signed, sending, "lefi receive outbox/LIVBOLAGET-TEST other.duckdb"]), tmp_path)
    assert "LIVBOLAGET-TEST: 2 deliveries encrypted to sent" in said
    assert "LIVBOLAGET-TEST: 2 deliveries opened" in said


def test_every_page_is_in_the_site_and_every_link_leads_somewhere() -> None:
    listed = re.findall(r"[a-z-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8"))
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
    assert yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["theme"]["name"] == "readthedocs"
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
