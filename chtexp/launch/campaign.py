"""A campaign, described: parts of tables in order of worth, and where their results are collected."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from chtexp.config.resources import read_yaml
from chtexp.config.typed import Description, describe
from chtexp.errors import UserError
from chtexp.store.collection import check_suffix


def _words(line: object) -> list[str]:
    if not isinstance(line, str):
        raise ValueError(
            f"is what follows 'chtexp sweep', as one line, e.g. table7 data=mnist row=CHTs_n,SET, not {line!r}"
        )
    return shlex.split(line)


def _some(lines: object) -> object:
    if not isinstance(lines, list | tuple) or not lines:
        raise ValueError(
            "must be a list of at least one line, the words that follow 'chtexp sweep', e.g. - table7 data=mnist"
        )
    return lines


Rank = Annotated[tuple[str, ...], BeforeValidator(_words), Field(min_length=1)]


class Campaign(Description):
    """Parts of tables in order of worth, and where their results are collected.

    Attributes:
        ranks: the worthiest first, each the words that follow `chtexp sweep`: a table, which of its runs, and how changed.
        collected: the file of finished results, as seen from the campaign's own file; None: the same name, with .jsonl.
    """

    ranks: Annotated[tuple[Rank, ...], BeforeValidator(_some)]
    collected: str | None = None


def read_campaign(path: Path) -> Campaign:
    """Read the campaign that a YAML file describes.

    Raises:
        UserError: what is wrong with the file.
    """
    values = read_yaml(path)
    try:
        return describe(Campaign, values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def collection_of(campaign: Campaign, path: Path) -> Path:
    """Find the file of collected results.

    Args:
        campaign: the campaign.
        path: of the campaign's own file.

    Raises:
        UserError: the file has a suffix that results are not collected in.
    """
    collected = path.parent / campaign.collected if campaign.collected else path.with_suffix(".jsonl")
    try:
        check_suffix(collected)
    except UserError as error:
        raise UserError(f"{path}: collected: {error}") from None
    return collected
