"""Fetching raw files from a mirror on this machine."""

from __future__ import annotations

import gzip
import io
import tarfile
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chtexp.config.corpora import CORPORA, CorpusPart, Download
from chtexp.data.translation import prepare_translation
from chtexp.data.translation.download import fetch, locate
from chtexp.errors import UserError


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path):
    """A folder, and the address under which it is served."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def corpus(mirror):
    """Two plain files and an archive with two more."""
    folder, address = mirror
    for name in ("train.en", "train.de"):
        (folder / f"{name}.gz").write_bytes(gzip.compress(name.encode()))
    with tarfile.open(folder / "dev.tgz", "w:gz") as archive:
        for name in ("dev/other.en", "dev/val.en", "dev/val.de"):
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    downloads = (
        *(Download(f"{address}/{name}.gz") for name in ("train.en", "train.de")),
        Download(f"{address}/dev.tgz", ("val.en", "val.de")),
    )
    return replace(
        CORPORA["multi30k"],
        validation=(CorpusPart("val.en", "val.de"),),
        test=(CorpusPart("val.en", "val.de"),),
        downloads=downloads,
    )


def test_what_is_missing_is_fetched(tmp_path, corpus, mirror):
    folder, log = tmp_path / "raw", []
    paths = fetch(corpus, folder, log.append)
    assert log == [
        f"Multi30k: fetching train.en from {mirror[1]}/train.en.gz",
        f"Multi30k: fetching train.de from {mirror[1]}/train.de.gz",
        f"Multi30k: fetching val.en, val.de from {mirror[1]}/dev.tgz",
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["train.de.gz", "train.en.gz", "val.de", "val.en"]
    assert paths == {**locate(corpus, folder)}
    assert gzip.decompress(paths["train.en"].read_bytes()) == b"train.en"
    assert paths["val.de"].read_bytes() == b"dev/val.de"


def test_what_is_there_stays(tmp_path, corpus):
    folder, log = tmp_path / "raw", []
    (folder / "training").mkdir(parents=True)
    (folder / "training/train.en").write_text("mine")
    (folder / "val.de.gz").write_bytes(b"mine")
    paths = fetch(corpus, folder, log.append)
    assert [line.rpartition(" from ")[0] for line in log] == [
        "Multi30k: fetching train.de",
        "Multi30k: fetching val.en",
    ]
    assert paths["train.en"].read_text() == "mine"
    assert paths["val.de"].read_bytes() == b"mine"


@pytest.mark.parametrize("damage", ["absent", "truncated", "without the members"])
def test_a_failed_download_leaves_nothing_and_says_what_to_do(tmp_path, corpus, mirror, damage):
    archive, folder = mirror[0] / "dev.tgz", tmp_path / "raw"
    if damage == "absent":
        archive.unlink()
    elif damage == "truncated":
        archive.write_bytes(archive.read_bytes()[:-40])
    else:
        tarfile.open(archive, "w:gz").close()
    with pytest.raises(UserError) as caught:
        fetch(corpus, folder, lambda _: None)
    message = str(caught.value)
    assert message.startswith(f"could not download Multi30k from {mirror[1]}/dev.tgz: ")
    assert message.endswith(f"; without a network, put val.en, val.de into {folder}")
    assert "\n" not in message
    assert sorted(path.name for path in folder.iterdir()) == ["train.de.gz", "train.en.gz"]


@pytest.mark.parametrize("name", ["multi30k", "wmt17"])
def test_without_a_network(tmp_path, config, name):
    with pytest.raises(UserError, match=f"could not download {CORPORA[name].title} from https://") as caught:
        prepare_translation(config(name), tmp_path, lambda _: None)
    assert str(caught.value).endswith(f"put {', '.join(dict.fromkeys(CORPORA[name].files()))} into {tmp_path / name}")
    assert list((tmp_path / name).iterdir()) == []


@pytest.mark.parametrize("name", ["multi30k", "wmt17"])
def test_downloads_give_every_file(name):
    given = [
        file
        for download in CORPORA[name].downloads
        for file in download.members or (download.address.rpartition("/")[2].removesuffix(".gz"),)
    ]
    assert sorted(given) == sorted(CORPORA[name].files())
