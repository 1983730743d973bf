"""Raw text in its three formats, and every way to be wrong."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chtexp.data.translation.raw import lines, read_pairs, segments, talk_lines
from chtexp.errors import UserError


def error_of(call) -> str:
    with pytest.raises(UserError) as caught:
        list(call)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("zipped", [False, True])
def test_only_line_feeds_end_a_line(tmp_path, zipped):
    content = "one\r\ntwo\u2028still\x0btwo\x85 \n\n four".encode()
    path = tmp_path / ("text.gz" if zipped else "text")
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert list(lines(path)) == [(1, "one"), (2, "two\u2028still\x0btwo\x85 "), (3, ""), (4, " four")]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))))
def test_what_was_written_is_read(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("lines") / "text"
    path.write_bytes("".join(f"{line}\n" for line in text).encode())
    assert [line for _, line in lines(path)] == text


def test_latin_1_is_named_with_its_line(tmp_path):
    path = tmp_path / "train.de"
    path.write_bytes(b"Ein Hund\nEin M\xe4dchen\n")
    assert error_of(lines(path)).startswith(f"{path}, line 2: not UTF-8 (")


@pytest.mark.parametrize(
    "damage", [lambda content: b"no gzip", lambda content: content[:-12], lambda content: content[:15]]
)
def test_a_damaged_gz_is_named(tmp_path, damage):
    path = tmp_path / "train.de.gz"
    path.write_bytes(damage(gzip.compress(b"Ein Hund\n" * 100)))
    assert error_of(lines(path)).startswith(f"cannot read {path}: ")


def test_a_gz_whose_content_changed_is_named(tmp_path):
    path = tmp_path / "train.de.gz"
    whole = bytearray(gzip.compress(b"Ein Hund\n" * 100))
    whole[-8] ^= 1  # its checksum
    path.write_bytes(whole)
    assert "CRC check failed" in error_of(lines(path))


def test_talks_lose_what_is_not_text(tmp_path, write_lines):
    path = write_lines(
        tmp_path / "train.tags.de-en.en",
        [
            "<url>http://www.ted.com/talks/a</url>",
            "<keywords>talks, environment</keywords>",
            "<speaker>Al Gore</speaker>",
            "<talkid>1</talkid>",
            "<title>Al Gore: Averting the climate crisis</title>",
            "<description>TED Talk Subtitles and Transcript</description>",
            "Thank you so much, Chris. ",
            "3 < 5 & 6 > 5",
        ],
    )
    assert list(talk_lines(path)) == [
        (3, "<speaker>Al Gore</speaker>"),  # as the usual preparation
        (5, "Al Gore: Averting the climate crisis"),
        (6, "TED Talk Subtitles and Transcript"),
        (7, "Thank you so much, Chris."),
        (8, "3 < 5 & 6 > 5"),
    ]


def test_segments_of_xml_and_sgml(tmp_path, write_lines):
    path = write_lines(
        tmp_path / "newstest.sgm",
        [
            '<srcset setid="newstest2016" srclang="any">',
            '<doc docid="abc" genre="news"><p>',
            '<seg id="1"> Q&amp;A: &quot;5 &lt; 6&quot; isn&#39;t R&D </seg>',
            '<seg id="2">Zwei</seg> <seg id="3">Drei</seg>',
            "</p></doc></srcset>",
        ],
    )
    assert list(segments(path)) == [(3, 'Q&A: "5 < 6" isn\'t R&D'), (4, "Zwei"), (4, "Drei")]


def test_entities_are_resolved_once(tmp_path, write_lines):
    assert list(segments(write_lines(tmp_path / "x", ['<seg id="1">&amp;lt;</seg>']))) == [(1, "&lt;")]


def test_text_without_segments_is_an_error(tmp_path, write_lines):
    path = write_lines(tmp_path / "dev.xml", ["<mteval>", "</mteval>"])
    assert (
        error_of(segments(path))
        == f"{path} holds no <seg>, but every sentence should stand in one; fetch the file again"
    )


def test_a_broken_segment_is_an_error(tmp_path, write_lines):
    path = write_lines(tmp_path / "dev.xml", ['<seg id="1">One</seg>', '<seg id="2">Two'])
    assert error_of(segments(path)).startswith(f"{path}, line 2: a <seg> that does not end")


@pytest.mark.parametrize("short", ["en", "de"])
def test_different_counts_name_both_files(tmp_path, write_lines, short):
    paths = [
        write_lines(tmp_path / f"train.{side}", ["a", "b", "c"][: 2 if side == short else 3]) for side in ("en", "de")
    ]
    long = "de" if short == "en" else "en"
    said = f"{tmp_path}/train.{short} ends after 2 sentences, but {tmp_path}/train.{long} has more: line 3;"
    assert error_of(read_pairs(*paths, lines, allow_empty=True)).startswith(said)


@pytest.mark.parametrize(
    ("english", "german", "named"), [("", "b", "train.en"), ("b", " \t", "train.de"), ("", "", "train.en")]
)
def test_an_empty_line_is_named(tmp_path, write_lines, english, german, named):
    source, target = (
        write_lines(tmp_path / "train.en", ["a", english]),
        write_lines(tmp_path / "train.de", ["a", german]),
    )
    assert error_of(read_pairs(source, target, lines, allow_empty=False)).startswith(
        f"{tmp_path / named}, line 2: an empty line"
    )
    assert list(read_pairs(source, target, lines, allow_empty=True)) == [("a", "a"), (english, german)]


def test_empty_files_are_an_error(tmp_path, write_lines):
    source, target = write_lines(tmp_path / "train.en", []), write_lines(tmp_path / "train.de", [])
    assert "hold no sentences" in error_of(read_pairs(source, target, lines, allow_empty=True))
