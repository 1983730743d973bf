"""Documents as corpora are published: JSON lines, plain text and parquet, an item at a time.

A reader yields the text of every document of a file, in order. Every error names the file and the line or row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, groupby
from pathlib import Path

from chtexp.data.lines import lines
from chtexp.errors import UserError

ROWS = 1000  # of a parquet file in memory at a time

Reader = Callable[[Path, str, str], Iterator[str]]


def read_documents(path: Path, text_field: str, plain_text: str) -> Iterator[str]:
    """Read the documents of a file.

    Args:
        path: its name ends in one of FORMATS.
        text_field, plain_text: see `TextDataConfig`.

    Raises:
        UserError: a file that cannot be read or is not what its name says, or a document without text.
    """
    suffix = next(suffix for suffix in FORMATS if path.name.endswith(suffix))
    return FORMATS[suffix](path, text_field, plain_text)


def text_of(row: object, field: str, place: str) -> str:
    """Take the text out of a document.

    Args:
        row: the document, as its file has it.
        field: that holds the text.
        place: where the document is; what messages begin with.

    Raises:
        UserError: there is no such text.
    """
    if not isinstance(row, Mapping):
        raise UserError(f"{place}: not an object with a field '{field}', but {_shortened(row)}")
    if field not in row:
        raise UserError(f"{place}: no field '{field}'; it has {', '.join(row) or 'none'}: see data.text_field")
    text = row[field]
    if not isinstance(text, str):
        raise UserError(f"{place}: the field '{field}' is not text, but {_shortened(text)}: see data.text_field")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{place}: not UTF-8 ({error.reason}); fetch the file again") from None
    return text


def _shortened(value: object) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _json_lines(path: Path, text_field: str, plain_text: str) -> Iterator[str]:
    """An object a line; blank lines are none."""
    for number, line in lines(path):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: not JSON ({error}); a line must hold one object") from None
        yield text_of(row, text_field, place)


def _plain_text(path: Path, text_field: str, plain_text: str) -> Iterator[str]:
    """The whole file, or its paragraphs."""
    texts = (line for _, line in lines(path))
    if plain_text == "file":
        yield "\n".join(texts)
        return
    for blank, paragraph in groupby(texts, lambda line: not line.strip()):
        if not blank:
            yield "\n".join(paragraph)


def _parquet_rows(path: Path, text_field: str, plain_text: str) -> Iterator[str]:
    """A document a row; no other column is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if text_field not in file.schema_arrow.names:
                found = ", ".join(file.schema_arrow.names)
                raise UserError(f"{path}: no column '{text_field}'; it has {found}: see data.text_field")
            batches = file.iter_batches(batch_size=ROWS, columns=[text_field])
            for row, value in enumerate(chain.from_iterable(batch.column(0) for batch in batches), 1):
                yield text_of({text_field: value.as_py()}, text_field, f"{path}, row {row}")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}, row {row}: not UTF-8 ({error.reason}); fetch the file again") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}; fetch the file again") from None


FORMATS: dict[str, Reader] = {
    ".jsonl": _json_lines,
    ".jsonl.gz": _json_lines,
    ".json": _json_lines,
    ".json.gz": _json_lines,
    ".txt": _plain_text,
    ".txt.gz": _plain_text,
    ".parquet": _parquet_rows,
}
