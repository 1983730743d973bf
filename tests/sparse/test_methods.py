"""A method is data: what is read, what overrides change, and which combinations are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chtexp.config.method import Removal, Topology
from chtexp.errors import UserError
from chtexp.sparse import Method, load_method, method_names

OF_TRANSFORMERS = ("cht", "chts", "chtss", "fc", "gmp", "granet", "mest_ems", "rigl", "set")


def test_the_methods_of_the_paper() -> None:
    assert method_names() == [
        *("cht", "chts_n", "chts_p", "chtss_n", "chtss_p", "fc"),
        *("gmp", "granet", "mest_ems", "rigl", "set", "static"),
        *(f"cnn/{name}" for name in ("cht", "chts_n", "chts_p", "chtss_n", "chtss_p")),
        *(f"{family}/{name}" for family in ("llama", "transformer") for name in OF_TRANSFORMERS),
    ]


@pytest.mark.parametrize(
    ("name", "topology", "removal", "regrowth", "soft", "density", "percolation"),
    [
        ("cht", "brf", "wm", "ch3_l3p", False, "fixed", True),
        ("chts", "brf", "wm", "ch2_l3n", True, "fixed", True),
        ("chtss", "brf", "wm", "ch2_l3n", True, "sigmoid", True),
        ("granet", "er", "wm", "gradient", False, "cubic", False),
        ("mest_ems", "er", "mest", "random", True, "em_s", False),
        ("rigl", "er", "wm", "gradient", False, "fixed", False),
        ("set", "er", "wm", "random", True, "fixed", False),
    ],
)
def test_methods_of_transformers(
    name: str, topology: str, removal: str, regrowth: str, soft: bool, density: str, percolation: bool
) -> None:
    """Updates end at three quarters of training, zeta annealed, but for SET's; weights begin as the model makes them."""
    method = load_method(f"transformer/{name}")
    zeta = {"set": (0.3, "constant", 1.0), "mest_ems": (0.0, "constant", 0.75)}.get(name, (0.3, "cosine", 0.75))
    assert (method.zeta, method.zeta_schedule, method.update_end) == zeta
    assert method.weight_init == "own"
    assert method.topology is not None
    assert method.removal is not None
    assert method.regrowth is not None
    assert (method.topology.rule, method.removal.rule, method.density.kind) == (topology, removal, density)
    assert (method.regrowth.rule, method.regrowth.soft, method.percolation) == (regrowth, soft, percolation)
    assert (method.removal.soft is not None) == name.startswith("chts")


@pytest.mark.parametrize("name", OF_TRANSFORMERS)
def test_methods_of_llama_differ_in_zeta_and_in_how_removal_sharpens(name: str) -> None:
    """And nothing percolates, and CHT regrows node-based, as its path-based rule is too slow at that size."""
    other, method = load_method(f"transformer/{name}"), load_method(f"llama/{name}")
    changes: dict[str, Any] = {}
    if method.removal is not None and name != "mest_ems":
        changes["zeta"] = 0.1
    if name == "set":
        changes |= {"zeta_schedule": "cosine", "update_end": 0.75}
    if name.startswith("cht"):
        changes["percolation"] = False
    if name.startswith("chts"):
        assert method.removal is not None
        assert method.removal.soft is not None
        assert (method.removal.soft.delta_start, method.removal.soft.delta_end) == (0.5, 0.9)
        changes["removal"] = method.removal
    if name == "cht":
        assert method.regrowth is not None
        assert (method.regrowth.rule, method.regrowth.soft) == ("ch2_l3n", False)
        changes["regrowth"] = method.regrowth
    assert method == other.model_copy(update=changes)


@pytest.mark.parametrize(
    ("name", "last"),
    [("set", 100), ("rigl", 75), ("chtss", 80), ("gmp", 80), ("fc", 0), ("granet", 80), ("mest_ems", 75)],
)
def test_no_update_comes_after_the_last(name: str, last: int) -> None:
    assert load_method(f"transformer/{name}").last_update(100, 5) == last


@pytest.mark.parametrize(
    ("name", "removal", "regrowth", "soft", "density", "zeta", "percolation", "weights"),
    [
        ("cht", "set", "ch3_l3p", False, "fixed", "constant", True, "swi"),
        ("chts_n", "wm", "ch2_l3n", True, "fixed", "constant", True, "swi"),
        ("chts_p", "wm", "ch3_l3p", True, "fixed", "constant", True, "swi"),
        ("chtss_n", "wm", "ch2_l3n", True, "sigmoid", "constant", True, "swi"),
        ("chtss_p", "wm", "ch3_l3p", True, "sigmoid", "constant", True, "swi"),
        ("granet", "wm", "gradient", False, "cubic", "constant", False, "kaiming"),
        ("mest_ems", "mest", "random", True, "em_s", "constant", False, "kaiming"),
        ("rigl", "wm", "gradient", False, "fixed", "cosine", False, "kaiming"),
        ("set", "wm", "random", True, "fixed", "constant", False, "kaiming"),
    ],
)
def test_methods_are_what_the_paper_says(
    name: str, removal: str, regrowth: str, soft: bool, density: str, zeta: str, percolation: bool, weights: str
) -> None:
    method = load_method(name)
    assert (method.sparsity, method.zeta, method.zeta_schedule) == (0.99, 0.0 if name == "mest_ems" else 0.3, zeta)
    assert (method.removal.rule, method.regrowth.rule, method.regrowth.soft) == (removal, regrowth, soft)
    assert (method.removal.soft is not None) == name.startswith(("chts_", "chtss_"))
    assert (method.density.kind, method.percolation, method.weight_init) == (density, percolation, weights)
    assert method.topology.rule == ("csti" if name.startswith("cht") else "er")
    assert method.early_stop == (0.9 if name == "cht" else None)
    assert method.update_end == (0.75 if name in ("rigl", "mest_ems") else 1.0)


def test_methods_without_removal() -> None:
    gmp, static, fc = load_method("gmp"), load_method("static"), load_method("fc")
    assert gmp.removal is gmp.regrowth is static.removal is static.regrowth is fc.topology is None
    assert (gmp.density.kind, gmp.density.prune, gmp.density.readmit, gmp.history_weights) == (
        "cubic",
        "wm",
        True,
        True,
    )
    assert (fc.sparsity, static.density.kind) == (0, "fixed")
    assert load_method("chtss_n").density.prune == "ri"


@pytest.mark.parametrize("name", ["mest_ems", "rigl", "granet", "set", "gmp", "chts_n"])
def test_who_needs_gradients(name: str) -> None:
    assert load_method(name).needs_gradient == (name in ("mest_ems", "rigl", "granet"))


def test_overrides_are_values_names_of_parts_or_mappings_merged_into_them() -> None:
    method = load_method("chts_n", sparsity=0.9, topology="brf", removal={"soft": {"delta_end": 0.9}})
    assert (method.sparsity, method.topology.rule, method.topology.parameters["r"]) == (0.9, "brf", 0.1)
    assert (method.removal.rule, method.removal.soft.delta_start, method.removal.soft.delta_end) == ("wm", 0.5, 0.9)
    assert load_method("chts_n", removal={"soft": None}).removal.soft is None
    assert load_method("chts_n", topology="csti_brf").topology.hidden.parameters == {"r": 0.1, "degree": "fixed"}
    assert load_method("gmp", density={"end": 0.5}).density.parameters == {"start": 0.0, "end": 0.5}
    assert load_method("gmp", density={"end": 0.5}).schedule(100, 10).end_step == 50


def test_a_named_part_replaces_the_absence_of_one() -> None:
    method = load_method("static", removal="ri_soft", regrowth="ch2_l3n", zeta=0.2)
    assert (method.removal.rule, method.regrowth.rule) == ("ri", "ch2_l3n")
    assert load_method("fc", topology="er", sparsity=0.5).topology == Topology(rule="er")


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("sett", {}, "unknown method 'sett' .did you mean 'set'"),
        ("set", {"topology": "err"}, "unknown topology 'err'"),
        ("set", {"removal": "wmm"}, "unknown removal 'wmm'"),
        ("set", {"sparsty": 0.5}, "unknown key 'method.sparsty' .did you mean 'sparsity'|unknown key 'method.sparsty'"),
        ("set", {"removal": {"sofd": None}}, "unknown key 'method.removal.sofd'"),
        ("set", {"removal": {"rule": "random"}}, "method.removal: unknown removal rule 'random'"),
        ("set", {"regrowth": {"rule": "gradiant"}}, "did you mean 'gradient'"),
        ("set", {"topology": {"rule": "erdos"}}, "unknown topology 'erdos'"),
        ("set", {"density": {"kind": "cubik"}}, "did you mean 'cubic'"),
        ("gmp", {"density": {"prune": "mw"}}, "unknown pruning rule 'mw'"),
        ("gmp", {"density": {"prune_scope": "network"}}, "method.density.prune_scope"),
        ("set", {"sparsity": 1.0}, "method.sparsity should be less than 1"),
        ("set", {"zeta": 1.2}, "method.zeta"),
        ("set", {"zeta": float("nan")}, "method.zeta"),
        ("set", {"distribution": "erc"}, "method.distribution"),
        ("set", {"sparsity": 0.0}, "for a dense network use method=fc"),
        ("fc", {"sparsity": 0.9}, "no topology, so it is dense"),
        ("set", {"topology": None}, "no topology, so it is dense"),
        ("set", {"regrowth": None}, "needs both removal and regrowth"),
        ("static", {"removal": "wm"}, "needs both removal and regrowth"),
        ("static", {"percolation": True}, "needs a regrowth"),
        ("gmp", {"history_weights": False}, "readmit needs history_weights"),
        ("gmp", {"density": {"prune": None}}, "density.prune must name a rule"),
        ("chts_n", {"removal": {"soft": {"delta_end": 1.0}}}, "delta_end"),
    ],
)
def test_wrong_values_are_named(name: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_method(name, **overrides)


def test_parameters_of_a_schedule_are_checked_when_it_is_made() -> None:
    with pytest.raises(UserError, match="has no parameter 'ends'"):
        load_method("gmp", density={"ends": 0.5}).schedule(100, 10)


def test_another_folder_of_methods(tmp_path: Path) -> None:
    (tmp_path / "removal").mkdir()
    (tmp_path / "removal" / "gentle.yaml").write_text("rule: snip\n")
    (tmp_path / "mine.yaml").write_text(
        "defaults: [{removal: gentle}, _self_]\nname: Mine\nsparsity: 0.5\ntopology: {rule: er}\nregrowth: {rule: random}\n"
    )
    assert method_names(tmp_path) == ["mine"]
    assert load_method("mine", folder=tmp_path).removal == Removal(rule="snip")


def test_a_method_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_method("set").sparsity = 0.5
    with pytest.raises(ValueError, match="no topology"):
        Method(name="odd", sparsity=0.5)


def test_ones_own_folder_stands_before_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "removal").mkdir()
    (tmp_path / "mine.yaml").write_text(
        "name: Mine\nsparsity: 0.9\ndefaults:\n  - topology: er\n  - removal: own\n  - regrowth: random\n  - _self_\n"
    )
    (tmp_path / "removal" / "own.yaml").write_text("rule: ri\n")
    (tmp_path / "set.yaml").write_text("name: My SET\nsparsity: 0.5\ndefaults:\n  - topology: er\n  - _self_\n")
    mine = load_method("mine", folder=tmp_path)
    assert mine.removal is not None
    assert mine.regrowth is not None
    assert (mine.name, mine.removal.rule, mine.regrowth.rule) == ("Mine", "ri", "random")
    assert load_method("set", folder=tmp_path).name == "My SET"
    assert load_method("rigl", folder=tmp_path) == load_method("rigl")
    with pytest.raises(UserError, match=r"unknown method 'mien' \(did you mean 'mine'\?\)"):
        load_method("mien", folder=tmp_path)
    with pytest.raises(UserError, match=r"unknown removal 'onw' \(did you mean 'own'\?\)"):
        load_method("mine", folder=tmp_path, removal="onw")
