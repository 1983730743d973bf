"""What Table 2 says of words and sub-words is what the results beside it hold."""

import json
from pathlib import Path

from chtexp.config.resources import read_yaml

ROOT = Path(__file__).resolve().parents[2]


def test_the_measured_note_is_of_the_collected_results() -> None:
    note = " ".join(read_yaml(ROOT / "conf/paper/table2.yaml")["notes"])
    for setting, said in (("words", "with words"), ("subwords", "with joint sub-words")):
        rows = json.loads((ROOT / f"results/table2-multi30k-{setting}.json").read_text())["rows"]
        fc, chtss = (next(row["mean"] for row in rows if row["row"] == name) for name in ("FC", "CHTss"))
        assert f"FC {fc:.2f} and CHTss {chtss:.2f} {said}" in note
