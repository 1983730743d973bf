"""Which data, model, task and method belong together: said before one of them looks for what another does not have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from chtexp.config.families import FAMILIES, Data, Family, Model
from chtexp.config.images import ImageDataConfig
from chtexp.config.method import Method, method_names
from chtexp.config.models import ImageNetwork, TransformerConfig
from chtexp.config.own_parts import OwnNetwork
from chtexp.config.plugged import PLUGGED, Registered
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
    for part in ("task", "model"):
        said = _said(values.get(part), "name")
        others = [family for family in FAMILIES if said in names_of(family, part)]
        if others and home not in others:
            raise UserError(
                f"{part} {said} does not fit data {_said(data, 'name') or _said(data, 'source')}: choose another {part} "
                f"({', '.join(_files(part, names_of(home, part)))}), or other data ({', '.join(_data_of(others[0]))})"
            )


def names_of(family: Family, part: str) -> list[str]:
    """List the names of a family's tasks or networks, those of plug-ins included.

    Args:
        family: the family.
        part: `task` or `model`.
    """
    own = [one.name for (kind, _), one in PLUGGED.found.items() if kind == part and _is_of(one, family)]
    return [family.task, *own] if part == "task" else [*family.models, *own]


def _is_of(own: Registered, family: Family) -> bool:
    return family.data == (own.family if own.kind == "task" else "images")


def check_method(method: Method, model: Model, data: Data) -> None:
    """Check that a method's topology does not correlate features where the network does not see any.

    Raises:
        UserError: the topology correlates features, and the inputs of the first sparse layer are none.
    """
    if method.correlates_features and not model.features:
        images = isinstance(data, ImageDataConfig)
        what = f"model {model.name}" if images else f"data {data.name}"
        why = "its first sparse layer does not see" if images else "text does not have"
        made = [name for name in method_names() if name.rpartition("/")[0] == model.methods]
        raise UserError(
            f"method {method.name} does not fit {what}: its topology correlates input features, which {why}; "
            f"choose one of: {', '.join(made)}; or another method/topology, e.g. brf"
        )


def check_size(model: Model, data: Data) -> None:
    """Check that images are large enough for their network.

    Raises:
        UserError: they are too small.
    """
    if isinstance(model, ImageNetwork) and not isinstance(model, OwnNetwork) and isinstance(data, ImageDataConfig):
        model.counts(data.shape, data.classes)


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


def own_recipe(method: str, folder: str) -> str | None:
    """Find a network's own recipe of a method that was chosen as another network's.

    Args:
        method: its file in conf/method, e.g. `set` or `llama/set`.
        folder: of the methods that are made for the network (`Network.methods`).

    Returns:
        The file in conf/method; None where the chosen one is the network's own, or where it has none.
    """
    own = "/".join(filter(None, [folder, method.rpartition("/")[2]]))
    return own if own != method and own in method_names() else None


def note_on_method(method: str, model: Model, data: str) -> str | None:
    """Word the note about a method that is written for other networks.

    Args:
        method: its file in conf/method, e.g. `set` or `llama/set`.
        model: the network.
        data: the name of the data set.

    Returns:
        One line; None where there is nothing to note.
    """
    own = own_recipe(method, model.methods)
    return own and f"note: method={method} is written for other models; method={own} is made for data={data}"


def _said(part: object, key: str) -> object:
    return part.get(key) if isinstance(part, Mapping) else None


def _files(axis: str, names: Collection[object]) -> Iterator[str]:
    """The choices on an axis that are called so in their configuration, or start from one that is."""
    return (path.stem for path in _choices(axis) if _called(path, axis) in names)


def _called(path: Path, axis: str) -> object:
    content = read_yaml(path)
    if isinstance(part := content.get(axis), Mapping):  # a file that chooses on other axes, too
        return part.get("name")
    start = [path.with_name(f"{base}.yaml") for base in defaults_in(content) if base != "_self_"]
    return content.get("name") or next((_called(base, axis) for base in start), None)


def _data_of(family: Family) -> Iterator[str]:
    contents = ((path.stem, read_yaml(path)) for path in _choices("data"))
    return (name for name, content in contents if _said(content.get("data", content), "family") == family.data)


def _choices(axis: str) -> list[Path]:
    return sorted((conf_dir() / axis).glob("*.yaml"))
