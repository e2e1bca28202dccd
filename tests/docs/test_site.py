"""The site isn't built from pages with dead links. That it's built from today's pages is a gate of scripts/check."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.blocks import ROOT

DEAD = {
    "no-such-page.md": "cross-reference target not found: 'no-such-page.md'",
    "contract.md#no-such-part": "local id not found in doc 'docs/contract': 'no-such-part'",
    "../examples/no-such/README.md": "cross-reference target not found: '../examples/no-such/README.md'",
}


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-W", "-n", "--keep-going", "-c", str(source / "docs"), str(source), str(target)]
    return subprocess.run([sys.executable, "-m", "sphinx", *options], capture_output=True, text=True, timeout=100)


def test_dead_links_are_failures(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "docs", source / "docs", ignore=shutil.ignore_patterns("decisions"))
    (source / "docs" / "decisions").mkdir()
    (source / "docs" / "page.md").write_text(
        "---\norphan: true\n---\n# Page\n\n" + "\n".join(f"- [dead]({link})" for link in DEAD)
    )
    done = build(source, tmp_path / "site")

    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if "/docs/page.md:" in line]
    assert [expected for expected in DEAD.values() if not any(expected in line for line in said)] == []
    assert len(said) == len(DEAD)
