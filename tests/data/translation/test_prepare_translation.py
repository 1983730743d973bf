"""Preparing and loading: small corpora in the original formats, damage, concurrency, and the real Multi30k."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from prepared_folders import contents, error_of, flip, quiet

from chtexp.data.prepared import MANIFEST
from chtexp.data.translation import build as building
from chtexp.data.translation import load_translation, prepare_translation
from chtexp.data.translation.cache import cache_folder

from .conftest import SUBWORDS


def pipeline(data, split: str) -> list[tuple[str, str]]:
    """The Moses tokens of every pair, decoded from its tokens."""
    pairs = getattr(data, split)
    both = pairs.padded(range(len(pairs)))
    return list(zip(*(data.vocabulary.decode_pipeline_batch(side) for side in both), strict=True))


# --- Multi30k ----------------------------------------------------------------------------------------------


def test_prepared_once_then_left_alone(config, small_multi30k):
    log: list[str] = []
    prepare_translation(config(), small_multi30k, log.append)
    folder = cache_folder(config(), small_multi30k, None)
    assert log == [
        f"Multi30k: not prepared yet in {folder}",
        "Multi30k: 10 training pairs tokenised, that is all",
        "Multi30k: learning at most 40000 words of each language from the training pairs",
        "Multi30k: encoding",
        f"Multi30k: 10 training, 5 validation and 3 test pairs, 21 and 20 words, checked, in {folder}",
    ]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    log.clear()
    prepare_translation(config(), small_multi30k, log.append)
    assert len(log) == 1
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


def test_words_that_are_prepared(config, small_multi30k):
    data = prepare_translation(config(), small_multi30k, quiet)
    pairs = data.train.padded(range(2))
    assert data.vocabulary.sizes == (4 + 17, 4 + 16)  # "a" and "A", "dog" and "dog's" are words of their own
    assert data.vocabulary.decode_batch(pairs[1]) == ["Ein Hund läuft.", "Zwei Männer kochen, oder?"]
    assert data.vocabulary.decode_pipeline_batch(pairs[1]) == ["Ein Hund läuft .", "Zwei Männer kochen , oder ?"]
    assert (data.train.source_lengths[0], data.train.target_lengths[1]) == (3 + 1, 4 + 1)
    assert data.test.target_pipeline[1] == "Zwei Männer kochen , oder ?"
    assert data.test.target_text[1] == "Zwei Männer kochen, oder?"
    assert pairs[0][0].tolist() == [
        *data.vocabulary.encode("A dog runs."),
        data.vocabulary.pad_id,
        data.vocabulary.pad_id,
    ]
    assert data.source.startswith("raw text, split at white space, 21 and 20 words (tokenizers ")


def test_words_beyond_the_cut_off_are_unknown_on_their_side_alone(config, small_multi30k, write_lines):
    """Three words a side are kept: the most frequent ones, of equals the first of the alphabet."""
    write_lines(small_multi30k / "multi30k/train.en", ["b a b a b", "c d"])
    write_lines(small_multi30k / "multi30k/train.de", ["x", "y y z z z w"])
    data = prepare_translation(config(most_words=4 + 3), small_multi30k, quiet)
    assert data.vocabulary.sizes == (7, 7)
    unknown, end = data.vocabulary.unk_id, data.vocabulary.eos_id
    source_BS, target_BT = data.train.padded(np.arange(2))
    assert source_BS.tolist() == [[4, 5, 4, 5, 4, end], [6, unknown, end, 0, 0, 0]]  # b 3, a 2, c 1; d is unknown
    assert target_BT[1].tolist() == [5, 5, 4, 4, 4, 6, end]  # z 3, y 2, w 1; x is unknown
    assert target_BT[0, :2].tolist() == [unknown, end]
    assert (data.validation.padded(np.arange(1))[0] == unknown).sum() == 3  # nothing of it was trained on


def test_sub_words_that_are_prepared(config, small_multi30k):
    data = prepare_translation(config(**SUBWORDS), small_multi30k, quiet)
    assert pipeline(data, "train")[:2] == [
        ("a dog runs .", "ein hund läuft ."),
        ("two men cook , don 't they ?", "zwei männer kochen , oder ?"),
    ]
    assert pipeline(data, "train")[5:] == pipeline(data, "train")[:5] == pipeline(data, "validation")
    # Every word occurs twice, so that it is one sub-word in either language.
    assert (data.train.source_lengths[0], data.train.target_lengths[0]) == (5, 5)
    assert data.test.source_text == ["A dog runs.", "Two men cook, don't they?", "A small girl climbs."]
    assert data.test.target_text[2] == "Ein kleines Mädchen klettert."
    assert data.test.target_pipeline == [target for _, target in pipeline(data, "test")]
    assert data.train.source_text == data.train.target_text == data.train.target_pipeline == []
    source_BS, _ = data.test.padded(np.arange(3))
    assert source_BS[0, : data.test.source_lengths[0]].tolist() == data.vocabulary.encode("A dog runs.")
    assert data.source.startswith(
        f"raw text, lower-cased Moses tokens, {data.vocabulary.sizes[0]} joint sub-words (tokenizers "
    )


@pytest.mark.parametrize("units", ["words", "subwords"])
def test_units_are_learnt_from_training_pairs_alone(units, config, small_multi30k, write_lines):
    described = config(units=units)
    before = contents(cache_of(prepare_translation, described, small_multi30k))["vocabulary.json"]
    write_lines(small_multi30k / "multi30k/test_2016_flickr.en", ["zebra zebra zebra"] * 3)
    write_lines(small_multi30k / "multi30k/val.de", ["Xylophon"] * 5)
    assert contents(cache_of(prepare_translation, described, small_multi30k))["vocabulary.json"] == before


def cache_of(call, config, root) -> Path:
    call(config, root, quiet)
    return cache_folder(config, root, None)


def test_the_manifest_says_what_there_is(config, small_multi30k):
    folder = cache_of(prepare_translation, config(), small_multi30k)
    said = json.loads((folder / MANIFEST).read_text())
    assert said["config"] == config().model_dump()
    assert set(said["versions"]) == {"tokenizers", "sacremoses"}
    names = [f"{split}.{side}" for split in ("train", "val", "test_2016_flickr") for side in ("en", "de")]
    assert sorted(said["raw"]) == sorted(names)
    assert said["pairs"] == {"train": 10, "validation": 5, "test": 3}
    assert said["dropped"] == 0
    assert sorted([*said["files"], MANIFEST]) == sorted(path.name for path in folder.iterdir())
    assert said["tokens"] == sum((folder / f"train.{side}.tokens").stat().st_size for side in ("source", "target")) // 2
    assert folder.stat().st_mode & 0o777 == 0o777 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_same_text_gives_the_same_bytes(config, small_multi30k, tmp_path):
    for cache in (tmp_path / "one", tmp_path / "two"):
        prepare_translation(config(), small_multi30k, quiet, cache)
    one, two = (contents(cache_folder(config(), None, tmp_path / name)) for name in ("one", "two"))
    assert one == two


def test_each_description_has_its_own_folder(config, small_multi30k):
    changes = (
        {}, {"lower_case": True}, {"normalise": "punctuation"}, {"most_tokens": 9}, {"most_words": 9}, {"tokenisation": "moses"},
        {"units": "subwords"}, {"units": "subwords", "merges": 20},
    )  # fmt: skip
    folders = {cache_of(prepare_translation, config(**change), small_multi30k) for change in changes}
    assert len(folders) == len(changes)
    subwords = prepare_translation(config(units="subwords", merges=20), small_multi30k, quiet)
    assert subwords.vocabulary.sizes == (4 + 256 + 20,) * 2
    lower = prepare_translation(config(lower_case=True), small_multi30k, quiet)
    assert lower.test.target_pipeline[0] == "ein hund läuft ."


def test_long_pairs_are_left_out_of_training_alone(config, small_multi30k):
    log: list[str] = []
    whole = prepare_translation(config(), small_multi30k, quiet).train
    longer = np.maximum(whole.source_lengths, whole.target_lengths)
    data = prepare_translation(config(most_tokens=int(np.median(longer))), small_multi30k, log.append)
    kept = int((longer <= int(np.median(longer))).sum())
    assert 0 < kept < 10
    assert (len(data.train), len(data.validation), len(data.test)) == (kept, 5, 3)
    assert f"Multi30k: left out 0 training pairs by data.cleaning, {10 - kept} by data.most_tokens" in log
    assert "no training pair of Multi30k is left" in error_of(
        prepare_translation, config(most_tokens=2), small_multi30k, quiet
    )


def test_an_empty_line_of_multi30k_is_an_error(config, small_multi30k):
    path = small_multi30k / "multi30k/train.de"
    path.write_bytes(path.read_bytes().replace("Ein Hund läuft.".encode(), b"", 1))
    assert error_of(prepare_translation, config(), small_multi30k, quiet).startswith(f"{path}, line 1: an empty line")
    assert not list(small_multi30k.glob("multi30k/*prepare*"))


# --- IWSLT14 -----------------------------------------------------------------------------------------------


@pytest.fixture
def small_iwslt14(tmp_path, write_lines) -> Path:
    """Unpacked as the archive is: 50 sentences in talks, of which some are unclean, and the five test sets."""
    folder = tmp_path / "root/iwslt14/de-en"
    english = [f"Sentence number {n}." for n in range(50)]
    german = [f"Satz Nummer {n} ." for n in range(50)]
    english[3], german[3] = "", "Leer"
    english[4], german[4] = "One two three four five six", "Eins zwei drei"
    english[5], german[5] = "One two three", "Eins zwei"  # 1.5 times as long: kept
    english[6] = german[6] = "x " * 176
    english[7] = german[7] = "y " * 175
    about = ["<url>u</url>", "<keywords>k</keywords>", "<talkid>1</talkid>"]
    write_lines(folder / "train.tags.de-en.en", [*about, "<title>A title</title>", *english])
    write_lines(folder / "train.tags.de-en.de", [*about, "<title>Ein Titel</title>", *german])
    for name in ("TED.tst2012", "TED.tst2010", "TEDX.dev2012", "TED.dev2010", "TED.tst2011"):
        for side in ("en", "de"):
            line = f'<seg id="1"> It’s {name}, &amp; {side}. </seg>'
            write_lines(folder / f"IWSLT14.{name}.de-en.{side}.xml", ["<mteval>", line, "</mteval>"])
    return tmp_path / "root"


def test_iwslt14(config, small_iwslt14):
    log: list[str] = []
    data = prepare_translation(config("iwslt14"), small_iwslt14, log.append)
    assert "IWSLT14: left out 3 training pairs by data.cleaning, 0 by data.most_tokens" in log
    # 51 sentences with the title, 48 clean ones; the 23rd and 46th of these are held out.
    assert (len(data.train), len(data.validation), len(data.test)) == (46, 2, 5)
    assert pipeline(data, "train")[:4] == [
        ("a title", "ein titel"),
        ("sentence number 0 .", "satz nummer 0 ."),
        ("sentence number 1 .", "satz nummer 1 ."),
        ("sentence number 2 .", "satz nummer 2 ."),
    ]
    assert pipeline(data, "train")[4:6] == [("one two three", "eins zwei"), (("y " * 175).strip(),) * 2]
    assert data.validation.source_text == ["Sentence number 24.", "Sentence number 47."]
    assert data.validation.target_text == ["Satz Nummer 24 .", "Satz Nummer 47 ."]
    order = ["TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012"]
    assert data.test.source_text == [f"It’s {name}, & en." for name in order]
    assert data.test.target_text == [f"It’s {name}, & de." for name in order]
    assert data.test.target_pipeline[0] == "it ' s ted.dev2010 , & de ."


def test_iwslt14_must_be_put_there_by_hand(config, tmp_path, write_lines):
    write_lines(tmp_path / "iwslt14/train.tags.de-en.en", ["x"])
    message = error_of(prepare_translation, config("iwslt14"), tmp_path, quiet)
    assert message.startswith(
        "IWSLT14 cannot be downloaded and lacks train.tags.de-en.de, IWSLT14.TED.dev2010.de-en.en.xml, "
    )
    assert message.endswith(f"(https://wit3.fbk.eu), and put its files into {tmp_path / 'iwslt14'}")


def test_a_test_set_without_segments(config, small_iwslt14, write_lines):
    path = write_lines(small_iwslt14 / "iwslt14/de-en/IWSLT14.TED.tst2011.de-en.de.xml", ["<mteval/>"])
    assert error_of(prepare_translation, config("iwslt14"), small_iwslt14, quiet).startswith(f"{path} holds no <seg>")


# --- WMT17 -------------------------------------------------------------------------------------------------


def test_wmt17_by_several_processes_as_by_one(config, tmp_path, write_lines, monkeypatch):
    root = tmp_path / "root"
    for n, corpus in enumerate(("europarl-v7.de-en", "commoncrawl.de-en", "news-commentary-v12.de-en")):
        for side, word in (("en", "House"), ("de", "Haus")):
            write_lines(root / f"wmt17/training/{corpus}.{side}", [f"{word} „{n}“ No. {m}." for m in range(3)] + [""])
    for year, kind in ((2016, "dev"), (2017, "test")):
        for name, title in (("src.en", "News"), ("ref.de", "Neues")):
            write_lines(
                root / f"wmt17/{kind}/newstest{year}-ende-{name}.sgm", [f'<seg id="1">{title} of {year}.</seg>']
            )
    data = prepare_translation(config("wmt17"), root, quiet, tmp_path / "one")
    assert [source for source, _ in pipeline(data, "train")] == [
        f'House " {n} " No. {m} .' for n in range(3) for m in range(3)
    ]
    assert data.validation.target_text == ["Neues of 2016."]
    assert data.test.source_text == ["News of 2017."]

    monkeypatch.setattr(building, "PARALLEL", 100)  # bytes: the training pairs have more
    prepare_translation(config("wmt17"), root, quiet, tmp_path / "two")
    one, two = (contents(cache_folder(config("wmt17"), None, tmp_path / name)) for name in ("one", "two"))
    assert one == two


# --- loading -----------------------------------------------------------------------------------------------


def test_loading_touches_neither_network_nor_raw_text(config, small_multi30k, tmp_path, monkeypatch):
    wanted = prepare_translation(config(), small_multi30k, quiet, tmp_path / "cache")
    for path in small_multi30k.glob("multi30k/*"):
        path.unlink()
    monkeypatch.setattr(socket, "socket", None)
    data = load_translation(config(), None, tmp_path / "cache")
    assert pipeline(data, "train") == pipeline(wanted, "train")
    assert data.test.target_text == wanted.test.target_text
    assert data.source == wanted.source
    log: list[str] = []
    prepare_translation(config(), small_multi30k, log.append, tmp_path / "cache")  # raw text may go once it is prepared
    assert len(log) == 1


def test_not_prepared_names_the_command(config, small_multi30k):
    folder = cache_folder(config(), small_multi30k, None)
    assert error_of(load_translation, config(), small_multi30k).startswith(
        f"Multi30k is not prepared: no {folder}; run 'chtexp prepare data=multi30k', or set paths.data"
    )
    prepare_translation(config(merges=9), small_multi30k, quiet)
    assert "prepared with other settings or versions, but not with these" in error_of(
        load_translation, config(), small_multi30k
    )


@pytest.mark.parametrize("call", [load_translation, prepare_translation])
def test_no_root(config, call):
    assert error_of(call, config(), None).startswith("Multi30k needs a data folder: set CHTEXP_DATA or paths.data")


# --- folders and processes ---------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written(config, small_multi30k, tmp_path):
    (tmp_path / "file").write_text("")
    message = error_of(prepare_translation, config(), small_multi30k, quiet, tmp_path / "file")
    assert message.startswith(f"cannot write to the data folder {tmp_path}/file/multi30k: ")
    assert message.endswith("; set CHTEXP_CACHE or paths.cache to a folder that prepared data may be written to")


CODE = """
import sys, yaml
from pathlib import Path
from chtexp.config.translation import TranslationDataConfig
from chtexp.data.translation import prepare_translation
config = TranslationDataConfig.model_validate(yaml.safe_load(Path(sys.argv[1]).read_text())["data"])
print("ready", flush=True); sys.stdin.readline()
prepare_translation(config, Path(sys.argv[2]))
"""


def process(root: Path) -> subprocess.Popen:
    repository = Path(__file__).parents[3]
    started = subprocess.Popen(
        [sys.executable, "-c", CODE, str(repository / "conf/data/multi30k.yaml"), str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(repository)},
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def test_two_at_once_do_no_harm(config, small_multi30k):
    started = [process(small_multi30k) for _ in range(2)]
    for one in started:
        one.stdin.write("\n")
        one.stdin.flush()
    said = [one.communicate(timeout=120) for one in started]
    assert [one.returncode for one in started] == [0, 0], said
    load_translation(config(), small_multi30k)
    assert len([path for path in (small_multi30k / "multi30k").iterdir() if path.is_dir()]) == 1


def test_killed_halfway_leaves_no_data(config, small_multi30k, write_lines):
    for side in ("en", "de"):
        write_lines(small_multi30k / f"multi30k/train.{side}", ["A dog runs."] * 200_000)
    one = process(small_multi30k)
    one.stdin.write("\n")
    one.stdin.flush()
    assert one.stdout.readline().startswith("Multi30k: not prepared yet")
    time.sleep(0.5)
    one.kill()
    one.communicate()
    folder = cache_folder(config(), small_multi30k, None)
    (left,) = folder.parent.glob(".prepare-*")
    assert not folder.exists()
    assert "is not prepared" in error_of(load_translation, config(), small_multi30k)
    for side in ("en", "de"):
        write_lines(small_multi30k / f"multi30k/train.{side}", ["A dog runs."] * 20)
    prepare_translation(config(), small_multi30k, quiet)
    assert left.exists()  # it might be at work
    os.utime(left, (0, 0))
    flip(folder / "vocabulary.json")
    prepare_translation(config(), small_multi30k, quiet)
    assert not left.exists()


# --- real --------------------------------------------------------------------------------------------------


def test_real_multi30k(real_multi30k):
    data, words = real_multi30k, real_multi30k.vocabulary.of_words
    assert (len(data.train), len(data.validation), len(data.test)) == (29_000, 1_014, 1_000)
    assert data.vocabulary.sizes == ((15_460, 24_893) if words else (10_260, 10_260))
    assert data.test.source_text[0] == "A man in an orange hat starring at something."
    assert data.test.target_text[0] == "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt."
    assert data.test.target_pipeline[0].lower() == "ein mann mit einem orangefarbenen hut , der etwas anstarrt ."
    means = data.train.source_lengths.mean(), data.train.target_lengths.mean()
    assert means == pytest.approx((12.9, 12.1) if words else (14.7, 14.9), abs=0.05)
    for pairs in (data.train, data.validation, data.test):
        for side_BT, size in zip(pairs.padded(np.arange(len(pairs))), data.vocabulary.sizes, strict=True):
            assert int(side_BT.max()) < size
            assert ((side_BT == data.vocabulary.eos_id).sum(1) == 1).all()
    unknown = [int((side_BT == data.vocabulary.unk_id).sum()) for side_BT in data.test.padded(np.arange(1000))]
    assert unknown == ([235, 449] if words else [0, 0])
    assert not any(
        (side == data.vocabulary.unk_id).any() for side in (data.train.source.tokens, data.train.target.tokens)
    )
