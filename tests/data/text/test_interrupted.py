"""Preparations that are killed, that run side by side, and on other numbers of cores: the bytes are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prepared_folders import contents, quiet

from chtexp.data.text import load_text, prepare_text
from chtexp.data.text.cache import cache_folder

CODE = """
import sys
from pathlib import Path
from chtexp.config.text import TextDataConfig
from chtexp.data.text import build, prepare_text, shards
config, root, cache, shards.SHARD, build.BATCH = sys.argv[1:4] + [int(one) for one in sys.argv[4:]]
print("ready", flush=True); sys.stdin.readline()
prepare_text(TextDataConfig.model_validate_json(config), Path(root), lambda line: print(line, flush=True), Path(cache))
"""


def start(config, root: Path, cache: Path, shard: int, batch: int, **environment: str) -> subprocess.Popen:
    repository = Path(__file__).parents[3]
    started = subprocess.Popen(
        [sys.executable, "-c", CODE, config.model_dump_json(), str(root), str(cache), str(shard), str(batch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(repository), **environment},
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def go(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def undisturbed(config, small_webmix, small_shards, tmp_path) -> dict[str, bytes]:
    """The files of a preparation that nothing happened to."""
    prepare_text(config(), small_webmix, quiet, tmp_path / "undisturbed")
    return contents(cache_folder(config(), None, tmp_path / "undisturbed"))


def test_killed_in_the_middle_it_goes_on_and_ends_the_same(config, small_webmix, write_jsonl, sentences, tmp_path):
    write_jsonl(small_webmix / "text/webmix.train.jsonl.gz", sentences(20_000))
    described, sizes = config(tokenizer_documents=200), (20_000, 5000)
    whole = start(described, small_webmix, tmp_path / "whole", *sizes)
    go(whole)
    process = start(described, small_webmix, tmp_path / "cache", *sizes)
    go(process)
    lines = [process.stdout.readline() for _ in range(5)]
    assert all("training documents encoded" in line for line in lines[2:])
    time.sleep(0.05)  # into the shard that follows
    process.send_signal(signal.SIGKILL)
    process.communicate()
    folder = cache_folder(described, None, tmp_path / "cache")
    (unfinished,) = folder.parent.glob("unfinished-*")
    reached = json.loads((unfinished / "progress.json").read_text())["progress"]
    assert reached["tokens"]["train"] >= 3 * 20_000
    assert not folder.exists()

    again = start(described, small_webmix, tmp_path / "cache", *sizes)
    said, _ = again.communicate("\n", timeout=120)
    assert whole.communicate(timeout=120)
    assert (
        f"going on after {reached['documents']['train']} training documents, {reached['tokens']['train']} tokens"
        in said
    )
    assert "learning" not in said
    assert contents(folder) == contents(cache_folder(described, None, tmp_path / "whole"))
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


class Interrupted(BaseException):
    pass


def interrupt_after(lines: int):
    said: list[str] = []

    def log(line: str) -> None:
        said.append(line)
        if len(said) > lines:
            raise Interrupted

    return log


def test_interrupted_anywhere_and_again_and_again(config, small_webmix, undisturbed, tmp_path):
    cache = tmp_path / "cache"
    rounds = 0
    while not cache_folder(config(), None, cache).exists():
        rounds += 1
        # A line or two beyond that of going on: every round encodes a shard or two more.
        try:
            prepare_text(config(), small_webmix, interrupt_after(2 + rounds % 2), cache)
        except Interrupted:
            continue
    assert rounds > 5
    assert contents(cache_folder(config(), None, cache)) == undisturbed


def interrupted(config, root: Path, cache: Path) -> Path:
    """The folder of a preparation that was interrupted after three shards."""
    with pytest.raises(Interrupted):
        prepare_text(config, root, interrupt_after(4), cache)
    (unfinished,) = (cache / config.name).glob("unfinished-*")
    return unfinished


def resumed(config, root: Path, cache: Path) -> list[str]:
    log: list[str] = []
    prepare_text(config, root, log.append, cache)
    return log


def test_what_was_written_after_the_last_whole_shard_is_forgotten(config, small_webmix, undisturbed, tmp_path):
    unfinished = interrupted(config(), small_webmix, tmp_path / "cache")
    for path in (
        sorted(unfinished.glob("train.*"))[-1],
        unfinished / "train.00099.tokens",
        unfinished / "validation.00000.tokens",
    ):
        with path.open("ab") as file:
            file.write(b"junk" * 10)
    assert any("going on after" in line for line in resumed(config(), small_webmix, tmp_path / "cache"))
    assert contents(cache_folder(config(), None, tmp_path / "cache")) == undisturbed


def test_a_limit_counts_from_the_beginning(config, small_webmix, small_shards, tmp_path):
    described = config(documents=150)
    interrupted(described, small_webmix, tmp_path / "cache")
    assert any("going on after" in line for line in resumed(described, small_webmix, tmp_path / "cache"))
    prepare_text(described, small_webmix, quiet, tmp_path / "fresh")
    one, two = (contents(cache_folder(described, None, tmp_path / name)) for name in ("cache", "fresh"))
    assert one == two


def cut_a_shard(unfinished: Path, root: Path) -> str:
    os.truncate(unfinished / "train.00001.tokens", 100)
    return "train.00001.tokens lacks tokens"


def lose_a_shard(unfinished: Path, root: Path) -> str:
    (unfinished / "train.00000.tokens").unlink()
    return "train.00000.tokens lacks tokens"


def lose_the_tokenizer(unfinished: Path, root: Path) -> str:
    (unfinished / "tokenizer.json").unlink()
    return "No such file"


def change_the_tokenizer(unfinished: Path, root: Path) -> str:
    with (unfinished / "tokenizer.json").open("a") as file:
        file.write(" ")
    return "the raw text or the tokenizer changed"


@pytest.mark.parametrize("damage", [cut_a_shard, lose_a_shard, lose_the_tokenizer, change_the_tokenizer])
def test_what_is_damaged_meanwhile_is_begun_anew(config, small_webmix, undisturbed, tmp_path, damage):
    reason = damage(interrupted(config(), small_webmix, tmp_path / "cache"), small_webmix)
    said = resumed(config(), small_webmix, tmp_path / "cache")
    assert "cannot go on from where it was interrupted (" in said[1]
    assert reason in said[1]
    assert said[1].endswith("), and begins anew")
    assert contents(cache_folder(config(), None, tmp_path / "cache")) == undisturbed


def test_progress_that_cannot_be_read_is_begun_anew(config, small_webmix, undisturbed, tmp_path):
    (interrupted(config(), small_webmix, tmp_path / "cache") / "progress.json").write_text("{")
    resumed(config(), small_webmix, tmp_path / "cache")
    assert contents(cache_folder(config(), None, tmp_path / "cache")) == undisturbed


def test_other_raw_text_meanwhile_is_begun_anew(config, small_webmix, write_jsonl, sentences, small_shards, tmp_path):
    interrupted(config(), small_webmix, tmp_path / "cache")
    write_jsonl(small_webmix / "text/webmix.train.jsonl.gz", sentences(150, salt=7))
    said = resumed(config(), small_webmix, tmp_path / "cache")
    assert "(the raw text or the tokenizer changed), and begins anew" in said[1]
    prepare_text(config(), small_webmix, quiet, tmp_path / "fresh")
    one, two = (contents(cache_folder(config(), None, tmp_path / name)) for name in ("cache", "fresh"))
    assert one == two


def test_text_that_only_the_tokenizer_has_seen_is_begun_anew_too(
    config, small_shards, write_jsonl, sentences, tmp_path
):
    for name in "abc":
        write_jsonl(tmp_path / f"{name}.jsonl", sentences(100, salt=100 * ord(name)))
    write_jsonl(tmp_path / "v.json", sentences(10))
    described = config("text", train=["*.jsonl"], validation=["v.json"], tokenizer_documents=110)
    interrupted(described, tmp_path, tmp_path / "cache")  # in a.jsonl, the tokenizer learnt from b.jsonl, too
    write_jsonl(tmp_path / "c.jsonl", ["other"] * 100)
    with pytest.raises(Interrupted):
        prepare_text(described, tmp_path, interrupt_after(2), tmp_path / "cache")
    write_jsonl(tmp_path / "b.jsonl", ["zebra zebra"] * 100)
    assert "begins anew" in resumed(described, tmp_path, tmp_path / "cache")[1]
    prepare_text(described, tmp_path, quiet, tmp_path / "fresh")
    one, two = (contents(cache_folder(described, None, tmp_path / name)) for name in ("cache", "fresh"))
    assert one == two


def test_an_error_in_the_middle_can_be_gone_on_from(config, small_webmix, small_shards, tmp_path):
    """E.g. a connection that is lost: what was whole is kept."""
    unfinished = interrupted(config(), small_webmix, tmp_path / "cache")
    before = json.loads((unfinished / "progress.json").read_text())["progress"]
    assert before["tokens"]["train"] >= 1000
    said = resumed(config(), small_webmix, tmp_path / "cache")
    assert said[1].endswith(
        f"going on after {before['documents']['train']} training documents, {before['tokens']['train']} tokens"
    )


def test_two_at_once_do_no_harm(config, small_webmix, write_jsonl, sentences, tmp_path):
    write_jsonl(small_webmix / "text/webmix.train.jsonl.gz", sentences(5000))
    started = [start(config(), small_webmix, tmp_path / "cache", 20_000, 5000) for _ in range(2)]
    for one in started:
        go(one)
    said = [one.communicate(timeout=120) for one in started]
    assert [one.returncode for one in started] == [0, 0], said
    assert sum("another process prepares it" in out for out, _ in said) == 1
    assert sum("learning" in out for out, _ in said) == 1  # the other waits, and finds it done
    load_text(config(), None, tmp_path / "cache")
    assert len([path for path in (tmp_path / "cache/webmix").iterdir() if path.is_dir()]) == 1


def test_on_several_cores_as_on_one(config, small_webmix, tmp_path):
    for cores, parallel in (("1", "false"), ("4", "true")):
        one = start(
            config(), small_webmix, tmp_path / cores, 500, 2000,
            RAYON_NUM_THREADS=cores, TOKENIZERS_PARALLELISM=parallel,
        )  # fmt: skip
        one.communicate("\n", timeout=120)
    few, many = (contents(cache_folder(config(), None, tmp_path / cores)) for cores in ("1", "4"))
    assert few == many
