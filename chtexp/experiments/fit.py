"""Which data, model, task and method belong together: said before one of them looks for what another does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chtexp.data.translation import TranslationDataConfig
from chtexp.errors import UserError
from chtexp.experiments.families import FAMILIES, Family
from chtexp.models import TransformerConfig
from chtexp.resources import conf_dir, read_yaml
from chtexp.sparse import Method, method_names
from chtexp.typed import Description


def check_parts(values: Mapping[str, Any]) -> None:
    """Raise UserError where the model or the task of a run is not of its data's family; what is of none is left to others.

    values: data, model and task as they were chosen; they may hold references that are not resolved yet.
    """
    home = _family_of_data(values.get("data"))
    if home is None:
        return
    for part in ("task", "model"):
        own, theirs = _name_of(values.get(part)), {name: _name_in(part, name) for name in FAMILIES}
        others = [name for name in theirs if theirs[name] == own and name != home]
        if others:
            raise UserError(
                f"{part} {own} does not fit data {values['data']['name']}: choose another {part} "
                f"({', '.join(_files(part, theirs[home]))}), or other data ({', '.join(_data_of(others[0]))})"
            )


def check_method(method: Method, family: Family, data: str) -> None:
    """Raise UserError where a method's topology correlates features, and the family's data have none. data: their name."""
    if method.correlates_features and not family.features:
        made = [name for name in method_names() if name.rpartition("/")[0] == family.methods]
        raise UserError(
            f"method {method.name} does not fit data {data}: its topology correlates input features, which text does not have; "
            f"choose one of: {', '.join(made)}; or another method/topology, e.g. brf"
        )


def check_embeddings(model: Description, data: Description) -> None:
    """Raise UserError where a Transformer's embeddings are to be shared by languages that have a vocabulary each."""
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
    """The family's recipe of a method that was chosen as another family's; None where it is its own, or where it has none.

    method: its file in conf/method: `set`, `llama/set`.
    """
    own = "/".join(filter(None, [family.methods, method.rpartition("/")[2]]))
    return own if own != method and own in method_names() else None


def _name_of(part: Any) -> str | None:
    return part.get("name") if isinstance(part, Mapping) else None


def _name_in(part: str, family: str) -> str:
    """What a task or a model of the family is called in its configuration."""
    return family if part == "task" else FAMILIES[family].model.model_fields["name"].default


def _family_of_data(data: Any) -> str | None:
    """The one family whose data have all these keys."""
    if not isinstance(data, Mapping):
        return None
    families = [name for name, family in FAMILIES.items() if data.keys() <= family.data.model_fields.keys()]
    return families[0] if len(families) == 1 else None


def _files(axis: str, name: str) -> Iterator[str]:
    """The choices on an axis that are called so in their configuration, or start from one that is."""
    return (path.stem for path in _choices(axis) if _called(path) == name)


def _called(path: Path) -> str | None:
    content = read_yaml(path)
    start = [path.with_name(f"{base}.yaml") for base in content.get("defaults", []) if base != "_self_"]
    return content.get("name") or next(map(_called, start), None)


def _data_of(family: str) -> Iterator[str]:
    contents = ((path.stem, read_yaml(path)) for path in _choices("data"))
    return (name for name, content in contents if _family_of_data(content.get("data", content)) == family)


def _choices(axis: str) -> list[Path]:
    return sorted((conf_dir() / axis).glob("*.yaml"))
