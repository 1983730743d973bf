"""Which data, model, task and method belong together: said before one of them looks for what another does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from chtexp.config.families import FAMILIES, Data, Family, Model
from chtexp.config.method import Method, method_names
from chtexp.config.models import TransformerConfig
from chtexp.config.resources import conf_dir, defaults_in, read_yaml
from chtexp.config.translation import TranslationDataConfig
from chtexp.errors import UserError, unknown


def check_parts(values: Mapping[str, object]) -> None:
    """Check that the model and the task of a run are of its data's family.

    Args:
        values: data, model and task as they were chosen, perhaps with references that are not resolved yet. A part that is of
            no known family is left to other checks.

    Raises:
        UserError: the data's family is unknown, or the model or the task is of another one.
    """
    data = values.get("data")
    name = _said(data, "family")
    if name is None:
        return
    home = next((family for family in FAMILIES if family.data == name), None)
    if home is None:
        raise unknown("data.family", name, [family.data for family in FAMILIES])
    for part, own in (("task", home.task), ("model", home.model)):
        said = _said(values.get(part), "name")
        others = [family for family in FAMILIES if said == (family.task if part == "task" else family.model)]
        if others and home not in others:
            raise UserError(
                f"{part} {said} does not fit data {_said(data, 'name') or _said(data, 'source')}: choose another {part} "
                f"({', '.join(_files(part, own))}), or other data ({', '.join(_data_of(others[0]))})"
            )


def check_method(method: Method, family: Family, data: str) -> None:
    """Check that a method's topology does not correlate features where the data have none.

    Args:
        method: the method.
        family: the family of the data.
        data: the name of the data set.

    Raises:
        UserError: the topology correlates features and the family has none.
    """
    if method.correlates_features and not family.features:
        made = [name for name in method_names() if name.rpartition("/")[0] == family.methods]
        raise UserError(
            f"method {method.name} does not fit data {data}: its topology correlates input features, which text does not have; "
            f"choose one of: {', '.join(made)}; or another method/topology, e.g. brf"
        )


def check_embeddings(model: Model, data: Data) -> None:
    """Check that embeddings are shared only by languages that share a vocabulary.

    Raises:
        UserError: a Transformer shares its embeddings, and each language has a vocabulary of its own.
    """
    if (
        isinstance(model, TransformerConfig)
        and isinstance(data, TranslationDataConfig)
        and (model.embeddings, data.units) == ("shared", "words")
    ):
        raise UserError(
            "model.embeddings=shared takes a vocabulary that both languages share: add data.units=subwords, or use "
            "model.embeddings=separate"
        )


def own_recipe(method: str, family: Family) -> str | None:
    """Find the family's own recipe of a method that was chosen as another family's.

    Args:
        method: its file in conf/method, e.g. `set` or `llama/set`.
        family: the family of the data.

    Returns:
        The file in conf/method; None where the chosen one is the family's own, or where the family has none.
    """
    own = "/".join(filter(None, [family.methods, method.rpartition("/")[2]]))
    return own if own != method and own in method_names() else None


def note_on_method(method: str, family: Family, data: str) -> str | None:
    """Word the note about a method that is written for another family.

    Args:
        method: its file in conf/method, e.g. `set` or `llama/set`.
        family: the family of the data.
        data: the name of the data set.

    Returns:
        One line; None where there is nothing to note.
    """
    own = own_recipe(method, family)
    return own and f"note: method={method} is written for other models; method={own} is made for data={data}"


def _said(part: object, key: str) -> object:
    return part.get(key) if isinstance(part, Mapping) else None


def _files(axis: str, name: str) -> Iterator[str]:
    """The choices on an axis that are called so in their configuration, or start from one that is."""
    return (path.stem for path in _choices(axis) if _called(path) == name)


def _called(path: Path) -> object:
    content = read_yaml(path)
    start = [path.with_name(f"{base}.yaml") for base in defaults_in(content) if base != "_self_"]
    return content.get("name") or next(map(_called, start), None)


def _data_of(family: Family) -> Iterator[str]:
    contents = ((path.stem, read_yaml(path)) for path in _choices("data"))
    return (name for name, content in contents if _said(content.get("data", content), "family") == family.data)


def _choices(axis: str) -> list[Path]:
    return sorted((conf_dir() / axis).glob("*.yaml"))
