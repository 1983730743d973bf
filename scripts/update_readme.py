"""Put the tables of results/ into README.md, between their markers. Usage: python scripts/update_readme.py"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->` by the file results/name*.md."""
    readme = ROOT / "README.md"

    def table(marker: re.Match[str]) -> str:
        name = marker[1]
        (path,) = (ROOT / "results").glob(f"{name}*.md")
        return f"<!-- {name} -->\n{path.read_text()}<!-- /{name} -->"

    readme.write_text(re.sub(r"<!-- ([\w/]+) -->.*?<!-- /\1 -->", table, readme.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
