"""Where the documents of a corpus are: which files match, whether they are all there, or else the hub."""

from __future__ import annotations

from glob import glob
from pathlib import Path

from chtexp.config.text import TextDataConfig
from chtexp.data.text.file_sets import FileSet, file_sets, names_a_set
from chtexp.data.text.sources import TRAIN, VALIDATION, HubSplit, LocalFile, Source
from chtexp.errors import UserError


def find_sources(config: TextDataConfig, root: Path | None) -> list[Source]:
    """Find the validation files and then the training files, or the splits on the hub where none match.

    Args:
        config: of the corpus.
        root: of the data.

    Raises:
        UserError: patterns that match nothing where there is no hub, a file of both splits, or a part of a set of files that
            nobody asked for.
    """
    sources: list[Source] = []
    for split in (VALIDATION, TRAIN):
        patterns = _patterns(config, split)
        lacking = [pattern for pattern in patterns if not _matching(pattern, root)]
        if not lacking:
            _refuse_parts(config, split, root)
            sources += find_files(config, split, root)
        elif config.hub is None:
            raise UserError(
                f"{config.title}: no file matches {_placed(lacking, root)}; see data.{split} and paths.data"
            )
        else:
            sources.append(
                HubSplit(config.hub, config.hub_config, split, config.text_field, by_hand=_placed(patterns, root))
            )
    names = [source.name for source in sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{config.title}: {twice[0]} is both a training and a validation file; take it out of one")
    return sources


def find_files(config: TextDataConfig, split: str, root: Path | None) -> list[LocalFile]:
    """Find the files of a split that are there, each once.

    Args:
        config: of the corpus.
        split: `train` or `validation`.
        root: of the data.
    """
    names = dict.fromkeys(name for pattern in _patterns(config, split) for name in _matching(pattern, root))
    return [LocalFile(name, (root or Path()) / name, split, config.text_field, config.plain_text) for name in names]


def require_documents(config: TextDataConfig, taken: int, root: Path | None) -> None:
    """Check that a part of a set of files had as many documents as were to be taken of it.

    Args:
        config: of the corpus.
        taken: training documents that were read.
        root: of the data.

    Raises:
        UserError: there were fewer than `data.documents`, and files of the set are missing.
    """
    streamed = any(not _matching(pattern, root) for pattern in config.train)
    if config.documents is not None and taken < config.documents and not streamed:
        for part in _unasked_parts(config, TRAIN, root):
            reason = f"data.documents={config.documents}, but there are {taken}:"
            raise UserError(f"{config.title}: {reason} {_said_of(part, TRAIN, root)}")


def _refuse_parts(config: TextDataConfig, split: str, root: Path | None) -> None:
    """A limited corpus may lack the last files of a set: whether it needs them is known when it has read the others."""
    limited = split == TRAIN and config.documents is not None
    for part in _unasked_parts(config, split, root):
        if not (limited and part.from_the_first_on):
            first = "" if split == VALIDATION or limited else ", or for the first N documents: data.documents=N"
            raise UserError(f"{config.title}: {_said_of(part, split, root)}{first}")


def _unasked_parts(config: TextDataConfig, split: str, root: Path | None) -> list[FileSet]:
    """Sets of files that some are missing of; not those of patterns that name the set: who writes them knows what it is."""
    patterns = [pattern for pattern in _patterns(config, split) if not names_a_set(pattern)]
    names = dict.fromkeys(name for pattern in patterns for name in _matching(pattern, root))
    return [one for one in file_sets(names) if not one.whole]


def _said_of(part: FileSet, split: str, root: Path | None) -> str:
    return (
        f"only {len(part.numbers)} of {part.size} files {_placed([part.name], root)} are there; "
        f"fetch the others, or ask for a part by name: 'data.{split}=[{part.name}]'"
    )


def _patterns(config: TextDataConfig, split: str) -> tuple[str, ...]:
    return config.validation if split == VALIDATION else config.train


def _matching(pattern: str, root: Path | None) -> list[str]:
    """Files by name, relative to the data root if the pattern is; none of a relative pattern without a root."""
    path = Path(pattern).expanduser()
    if root is None and not path.is_absolute():
        return []
    names = sorted(glob(str(path), root_dir=root, recursive=True))
    return [name for name in names if ((root or Path()) / name).is_file()]


def _placed(patterns: list[str] | tuple[str, ...], root: Path | None) -> str:
    """Patterns with their folder, for a person."""
    return ", ".join(str((root or Path("<paths.data>")) / Path(pattern).expanduser()) for pattern in patterns)
