"""Data sets and tokenizers of the Hugging Face hub: the only place of this package that uses the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chtexp.data.text.raw import text_of
from chtexp.errors import Unavailable, UserError


def hub_revision(hub: str, by_hand: str) -> str:
    """Ask for the commit that a data set is at now.

    Args:
        hub: its name.
        by_hand: where its files could be put by hand, for the message.

    Raises:
        Unavailable: the hub does not answer.
    """
    from huggingface_hub import HfApi

    with _answering(f"the data set {hub}", f"put its files there by hand: {by_hand}"):
        return f"revision:{HfApi().dataset_info(hub).sha}"


def stream(
    hub: str, config: str | None, split: str, revision: str, text_field: str, by_hand: str, first: int = 0
) -> Iterator[str]:
    """Read the texts of a split as they arrive.

    Args:
        hub: the name of the data set.
        config: of the data set, where it has several.
        split: of the data set.
        revision: as `hub_revision` returns it.
        text_field: of a row.
        by_hand: where its files could be put by hand, for the message.
        first: the number of the first text.

    Raises:
        Unavailable: the data set cannot be read.
    """
    from datasets import load_dataset

    with _answering(f"the data set {hub}", f"put its files there by hand: {by_hand}"):
        commit = revision.removeprefix("revision:")
        rows = load_dataset(hub, config, split=split, revision=commit, streaming=True).skip(first)
        for number, row in enumerate(rows, first + 1):
            yield text_of(row, text_field, f"{hub}, {split}, row {number}")


def fetch_tokenizer(hub: str, by_hand: Path) -> tuple[Path, Path | None]:
    """Fetch a tokenizer from the hub.

    Args:
        hub: the name of the model that it is of.
        by_hand: where its file could be put by hand, for the message.

    Returns:
        Its `tokenizer.json` and, if it has one, its `tokenizer_config.json`.

    Raises:
        UserError: there is none, or the hub does not answer.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    advice = f"put its tokenizer.json there by hand: {by_hand}"
    with _answering(f"the tokenizer {hub}", advice):
        tokenizer = Path(hf_hub_download(hub, "tokenizer.json"))
        try:
            return tokenizer, Path(hf_hub_download(hub, "tokenizer_config.json"))
        except LocalEntryNotFoundError:  # no answer
            raise
        except EntryNotFoundError:
            return tokenizer, None


@contextmanager
def _answering(what: str, advice: str) -> Iterator[None]:
    """Whatever the libraries raise while they talk to the hub, as one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of four libraries, with no common ancestor
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unavailable(f"cannot get {what} from the hub: {reason}; {advice}") from None
