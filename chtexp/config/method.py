"""A method of dynamic sparse training is data: which rule initialises, removes, regrows, and how density moves.

`conf/method/*.yaml` holds one file a method, made of the parts in `conf/method/{topology,removal,regrowth,density}/`.
The same files serve Hydra (`method=chts_n method/topology=brf`) and, without Hydra, `load_method`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from chtexp.config.plugins import load_plugins
from chtexp.config.resources import conf_dir, defaults_in, read_yaml
from chtexp.config.rules import SHARES, check_rule, reads_gradient, topology_reads
from chtexp.config.schedules import ELASTIC, DensitySchedule, density_schedule, starts_by_itself, step_at
from chtexp.config.typed import Description, describe
from chtexp.errors import UserError, unknown

Fraction = Annotated[float, Field(ge=0, le=1)]
PARTS = ("topology", "removal", "regrowth", "density")


class WithParameters(Description):
    """A named rule with parameters of its own, which the rule itself checks."""

    model_config = ConfigDict(extra="allow")

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters of the rule, by name."""
        return dict(self.model_extra or {})

    def _check(self, kind: str, title: str, rule: str) -> None:
        """Check the rule and its parameters; of a plug-in's, those that are set have the types that it declares."""
        checked = check_rule(kind, title, rule, self.parameters)
        if self.model_extra is not None:
            self.model_extra.update(checked)


class Topology(WithParameters):
    """How the first masks are drawn (`chtexp.topology.init_mask`).

    Attributes:
        rule: one of TOPOLOGIES.
        hidden: the rule for layers that do not see the network's input; None: the same rule everywhere.
    """

    rule: str
    hidden: Topology | None = None

    @model_validator(mode="after")
    def _known(self) -> Topology:
        self._check("topology", "topology", self.rule)
        for name in SHARES.get(self.rule, ()):
            share = self.parameters.get(name, 0)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise UserError(f"{name} must be a number in [0, 1], not {share!r}")
        return self


class Softness(Description):
    """Soft removal keeps links with probability proportional to score^e, e = delta / (1 - delta).

    Attributes:
        delta_start: delta at the start of rewiring.
        delta_end: delta at its end. [choice] The paper ends it at 0.75 in one place and at 0.9 in another: 0.75 (e = 3) for MLPs
            and translation, 0.9 (e = 9) for LLaMA.
        schedule: [choice] `exponent`, as the released code: e grows linearly until `update_end`. `delta`, the other reading of
            the paper: delta grows linearly over all of training.
    """

    delta_start: Annotated[float, Field(ge=0, lt=1)] = 0.5
    delta_end: Annotated[float, Field(ge=0, lt=1)] = 0.75
    schedule: Literal["exponent", "delta"] = "exponent"


class Removal(WithParameters):
    """Which links an update removes.

    Attributes:
        rule: scores the links; those with the lowest scores are removed.
        soft: draws links by that score instead; None: no draw.
    """

    rule: str
    soft: Softness | None = None

    @model_validator(mode="after")
    def _known(self) -> Removal:
        self._check("removal", "removal rule", self.rule)
        return self


class Regrowth(WithParameters):
    """Which links an update regrows.

    Attributes:
        rule: scores the absent links; those with the highest scores are regrown.
        soft: whether they are drawn by that score instead.
    """

    rule: str
    soft: bool = False

    @model_validator(mode="after")
    def _known(self) -> Regrowth:
        self._check("regrowth", "regrowth rule", self.rule)
        return self


class Density(WithParameters):
    """How the density moves over training (`chtexp.config.schedules.density_schedule`), and what is pruned when it falls.

    Attributes:
        kind: one of SCHEDULES.
        initial_sparsity: share of absent links at the start, for schedules that fall.
        prune: the score by which links are pruned to the new density; None: the removal rule's.
        prune_scope: `layer` keeps every layer at its own density; `global` compares scores across layers.
        readmit: whether pruning chooses among all pairs by stored magnitude, so that a pruned weight may come back (GMP).
    """

    kind: str = "fixed"
    initial_sparsity: Fraction | None = None
    prune: str | None = None
    prune_scope: Literal["layer", "global"] = "layer"
    readmit: bool = False

    @model_validator(mode="after")
    def _known(self) -> Density:
        self._check("density", "density schedule", self.kind)
        if (self.initial_sparsity is None) != starts_by_itself(self.kind):
            raise UserError(
                f"density schedule '{self.kind}' "
                + ("starts where it must: it takes no" if starts_by_itself(self.kind) else "needs an")
                + " initial_sparsity"
            )
        if self.prune is not None:
            check_rule("removal", "pruning rule", self.prune, {})
        return self


class Method(Description):
    """One method, complete: what `DynamicSparsity` needs to know.

    Attributes:
        name: as tables show it.
        sparsity: target share of absent links, in [0, 1).
        distribution: of the density over layers.
        weight_init: `swi` N(0, 2 / (density fan_in)), `kaiming` N(0, 2 / fan_in), `own` keeps the model's.
        zeta: share of the links that an update removes, in [0, 1].
        zeta_schedule: `cosine` anneals zeta to 0 at `update_end`.
        update_end: the last moment of removal and regrowth, a fraction of training [choice: 0.75 where zeta is annealed].
        percolation: whether an update also removes the links of inactive neurons.
        history_weights: whether absent links keep the weight that they last had.
        regrown_links: a link that is removed and regrown in the same update has never left, so it keeps its weight and the
            optimizer's state (`keep`, as the released code and RigL's); `reset` makes it a new link, to show what that does.
        early_stop: a layer whose overlap |removed and regrown| / |regrown| exceeds it (CHT: 0.9) is flagged and goes on evolving;
            once every layer is flagged, links move no more. None: no early stop.
        topology: how the first masks are drawn; None: the network is dense.
        removal: which links an update removes; None: no update does.
        regrowth: which links an update regrows; None: no update does.
        density: how the density moves.
    """

    name: Annotated[str, Field(min_length=1)]
    sparsity: Annotated[float, Field(ge=0, lt=1)]
    distribution: Literal["uniform", "erk"] = "uniform"
    weight_init: Literal["swi", "kaiming", "own"] = "own"
    zeta: Fraction = 0.3
    zeta_schedule: Literal["constant", "cosine"] = "constant"
    update_end: Fraction = 1.0
    percolation: bool = False
    history_weights: bool = False
    regrown_links: Literal["keep", "reset"] = "keep"
    early_stop: Fraction | None = None
    topology: Topology | None = None
    removal: Removal | None = None
    regrowth: Regrowth | None = None
    density: Density = Density()

    @model_validator(mode="after")
    def _consistent(self) -> Method:
        if self.topology is None and (self.sparsity > 0 or self.removal or self.density.kind != "fixed"):
            raise UserError(
                f"method '{self.name}' has no topology, so it is dense: its sparsity must be 0, without removal, "
                "regrowth or decay; for a sparse network choose another method or set method/topology"
            )
        if self.topology is not None and self.sparsity == 0:
            raise UserError(
                f"method '{self.name}' is sparse: its sparsity must be above 0 and below 1; for a dense network use method=fc"
            )
        if (self.removal is None) != (self.regrowth is None):
            raise UserError(f"method '{self.name}' needs both removal and regrowth, or neither")
        if self.removal is None:
            for key, idle in (("regrown_links", "keep"), ("early_stop", None), ("zeta_schedule", "constant")):
                if getattr(self, key) != idle:
                    said = "null" if idle is None else idle
                    raise UserError(f"method '{self.name}' regrows no links, so method.{key} must be {said}")
        if (
            self.removal is not None
            and self.density.kind in ELASTIC
            and (self.zeta, self.zeta_schedule) != (0, "constant")
        ):
            raise UserError(
                f"density schedule '{self.density.kind}' of method '{self.name}' decides itself how many links an update moves "
                "(those above the target density): method.zeta must be 0 and zeta_schedule constant; to move more of them set "
                "method.density.extra_early and extra_late; in a table, choose the rows that zeta is for (row=...)"
            )
        if self.percolation and self.regrowth is None:
            raise UserError(
                f"method '{self.name}' percolates, so it needs a regrowth that brings the removed links back"
            )
        if self.density.readmit and not self.history_weights:
            raise UserError("density.readmit needs history_weights: true, the stored magnitudes it chooses by")
        if self.density.kind != "fixed" and self.density.prune is None and self.removal is None:
            raise UserError("density.prune must name a rule when the density falls and there is no removal rule")
        return self

    def schedule(self, total_steps: int, update_interval: int) -> DensitySchedule:
        """The density over a training.

        Args:
            total_steps: optimizer steps of the whole training.
            update_interval: optimizer steps between topology updates.

        Raises:
            UserError: the training is too short, or the schedule has no such parameters.
        """
        initial = self.density.initial_sparsity
        return density_schedule(
            self.density.kind,
            initial=None if initial is None else 1 - initial,
            final=1 - self.sparsity,
            total=total_steps,
            interval=update_interval,
            **self.density.parameters,
        )

    def last_update(self, total_steps: int, update_interval: int) -> int:
        """The last step of a training that a topology update can follow; an early stop can end them before.

        Args:
            total_steps: optimizer steps of the whole training.
            update_interval: optimizer steps between topology updates.

        Returns:
            Completed optimizer steps; 0 where no update comes at all.
        """
        density_end = self.schedule(total_steps, update_interval).end_step
        if self.removal is None or self.density.kind in ELASTIC:
            return density_end
        return max(step_at(self.update_end, total_steps), density_end)

    @property
    def needs_gradient(self) -> bool:
        """Whether an update looks at the dense gradient of the loss."""
        return any(kind in ("removal", "regrowth") and reads_gradient(kind, rule) for kind, rule in self.rules)

    @property
    def rules(self) -> list[tuple[str, str]]:
        """The rules that it is made of, each by its kind and name."""
        topologies = [self.topology, self.topology.hidden if self.topology else None]
        found = [
            *(("topology", one.rule) for one in topologies if one),
            ("removal", self.removal.rule if self.removal else None),
            ("removal", self.density.prune),
            ("regrowth", self.regrowth.rule if self.regrowth else None),
            ("density", self.density.kind),
        ]
        return [(kind, rule) for kind, rule in found if rule]

    @property
    def correlates_features(self) -> bool:
        """Whether the topology is laid out by the correlation of the training inputs."""
        return any(kind == "topology" and topology_reads(rule, "correlation") for kind, rule in self.rules)


def method_names(folder: Path | None = None) -> list[str]:
    """List the methods by name: those of the folder itself first (`set`), then those of its sub-folders (`transformer/set`).

    Args:
        folder: of methods; None: `conf/method`.
    """
    folder = folder or conf_dir() / "method"
    found = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    names = [path.as_posix() for path in found if path.parts[0] not in PARTS]
    return sorted(names, key=lambda name: ("/" in name, name))


def load_method(
    name: str, *, folder: str | Path | None = None, plugins: str | Path | Sequence[str | Path] = (), **overrides: object
) -> Method:
    """Load the method of `conf/method/<name>.yaml`, without Hydra.

        load_method("chts_n", sparsity=0.9, topology="brf", removal={"soft": None})

    Args:
        name: one of `method_names`.
        folder: a folder of one's own methods, laid out as `conf/method`; the shipped methods and parts are found, too.
        plugins: the modules that register the rules of one's own, e.g. `["mine.py"]`; not needed once they are imported.
        **overrides: fields of `Method`; for a part, the name of another file of it or a mapping merged into it.

    Raises:
        UserError: an unknown name, part, key or value.
    """
    load_plugins([str(plugins)] if isinstance(plugins, str | Path) else [str(plugin) for plugin in plugins])
    shipped = conf_dir() / "method"
    folders = [_own_folder(folder), shipped] if folder else [shipped]
    names = {known: path for path in reversed(folders) for known in method_names(path)}  # one's own before the shipped
    if name not in names:
        raise unknown("method", name, names)
    values = read_yaml(names[name] / f"{name}.yaml")
    chosen_in_file = [entry for entry in defaults_in(values) if isinstance(entry, Mapping)]
    parts = {part: choice for entry in chosen_in_file for part, choice in entry.items()}
    chosen = {key: overrides.pop(key) for key in PARTS if isinstance(overrides.get(key), str)}
    parts.update(chosen)
    values = {key: value for key, value in values.items() if value is not None or key not in chosen}
    values.pop("defaults", None)
    composed = {part: _part(folders, part, choice) for part, choice in parts.items() if choice}
    return describe(Method, _merge(_merge(composed, values), overrides), "method")


def _own_folder(folder: str | Path) -> Path:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError(f"{folder} is no folder of methods: name one that is laid out as conf/method")
    return path


def _part(folders: Sequence[Path], part: str, choice: str) -> dict[str, object]:
    choices = {path.stem: path for folder in reversed(folders) for path in (folder / part).glob("*.yaml")}
    if choice not in choices:
        raise unknown(part, choice, choices)
    return read_yaml(choices[choice])


def _merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged
