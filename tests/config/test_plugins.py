"""Modules of a person's own: found, imported once, checked, and part of the identity of the runs that use them, of no others."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import plugin_files
import pytest

from chtexp.config import plugins
from chtexp.config.compose import compose_run
from chtexp.config.method import load_method
from chtexp.config.plugged import PLUGGED
from chtexp.config.plugin_source import Source
from chtexp.config.plugins import frozen_plugins, load_plugins
from chtexp.config.run import Run, describe_run
from chtexp.errors import UserError
from chtexp.plugins import density, regrowth, removal, topology

RULE = 'from chtexp.plugins import regrowth\n@regrowth("busy")\ndef busy():\n    return POWER\n'


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with plugin_files.nothing_left():
        yield


def busy(folder: Path, *overrides: str) -> Run:
    """A run of the plug-in's method, in a process that knows nothing of it yet."""
    with plugin_files.nothing_left():
        words = ["data=digits", "method=busy", f"plugins=[{folder}/own_rules.py]", f"paths.runs={folder}/runs"]
        return compose_run([*words, *overrides], folder / "conf")


def test_the_source_is_part_of_the_identity_of_runs_that_use_it_and_of_no_others(tmp_path: Path) -> None:
    file = plugin_files.write(tmp_path)
    plain = compose_run(["data=digits", "method=set", "paths.runs=runs"])
    with plugin_files.nothing_left():
        beside = compose_run(["data=digits", "method=set", f"plugins=[{file}]", "paths.runs=runs"])
    assert (plain.id, plain.plugins) == (beside.id, beside.plugins)
    mine = busy(tmp_path)
    assert [(one.name, one.registers) for one in mine.plugins] == [("own_rules", ("regrowth busy", "removal shaken"))]
    assert mine.science["plugins"] == {
        "own_rules": {"sha256": mine.plugins[0].sha256, "registers": ("regrowth busy", "removal shaken")}
    }
    assert busy(tmp_path, "method.regrowth.power=3").id != mine.id
    moved = plugin_files.write(tmp_path / "elsewhere")
    assert busy(moved.parent).id == mine.id, "the place is no part of it"
    file.write_text(file.read_text() + "\n# a remark\n")
    assert busy(tmp_path).id != mine.id


def test_what_a_plug_in_imports_from_beside_it_is_part_of_its_source(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("import beside_too\nPOWER = beside_too.POWER\n")
    (tmp_path / "beside_too.py").write_text("POWER = 2\n")
    (tmp_path / "not_read.py").write_text("1 / 0\n")
    file = plugin_files.write(tmp_path, "import beside_it\n" + plugin_files.RULES)
    source = Source.found(str(file))
    assert [path.name for path in source.contents] == ["beside_it.py", "beside_too.py", "own_rules.py"]
    before = busy(tmp_path).id
    (tmp_path / "beside_too.py").write_text("POWER = 3\n")
    assert busy(tmp_path).id != before
    copy = source.copied(tmp_path / "copy")
    assert {path.name for path in copy.contents} == {"beside_it.py", "beside_too.py", "own_rules.py"}
    assert copy.sha256 == source.sha256 != Source.found(str(file)).sha256, "the copy is of what was read"


def test_a_package_is_a_plug_in_with_all_its_files(tmp_path: Path) -> None:
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("from own_package import rules\n")
    (package / "rules.py").write_text(plugin_files.RULES)
    plugin_files.write(tmp_path)
    words = ["data=digits", "method=busy", f"plugins=[{package}]", "paths.runs=runs"]
    run = compose_run(words, tmp_path / "conf")
    assert run.plugins[0].name == "own_package"
    (frozen,) = frozen_plugins(run.plugins, tmp_path / "copies")
    assert frozen.place == tmp_path / "copies" / frozen.folder / "own_package"
    assert frozen.source.sha256 == run.plugins[0].sha256


def test_a_frozen_run_brings_its_plug_in_along(tmp_path: Path) -> None:
    file = plugin_files.write(tmp_path)
    run = busy(tmp_path)
    assert ("regrowth", "busy") not in PLUGGED.found
    again = describe_run(run.config())
    assert (again.id, again.plugins) == (run.id, run.plugins)
    plugins._imported.clear()
    file.write_text(file.read_text() + "\n# a remark\n")
    with pytest.raises(
        UserError, match=r"the plug-in 'own_rules' in .* has changed: its source is \w{10}, and the run is of"
    ):
        describe_run(run.config())
    file.unlink()
    plugins._imported.clear()
    with pytest.raises(UserError, match=r"'own_rules' is no longer in .*own_rules\.py: name the file"):
        describe_run(run.config())


def test_two_versions_do_not_live_in_one_process(tmp_path: Path) -> None:
    one, other = plugin_files.write(tmp_path / "a"), plugin_files.write(tmp_path / "b", plugin_files.RULES + "\n1\n")
    load_plugins([str(one)])
    load_plugins([str(plugin_files.write(tmp_path / "same"))])  # the same source is the same plug-in
    with pytest.raises(UserError, match="two plug-ins are called 'own_rules'"):
        load_plugins([str(other)])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:\n", r"invalid syntax.* \(line 1\)"),
        ("\nimport torch\nraise KeyError('k')\n", r"KeyError: 'k' \(line 3\)"),
        ("import no_such_module_at_all\n", r"ModuleNotFoundError: No module named .* \(line 1\)"),
    ],
)
def test_what_cannot_be_imported_is_one_line_with_its_place(source: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "own_mistake.py"
    path.write_text(source)
    with pytest.raises(UserError, match=rf"the plug-in {path} cannot be imported: {said}"):
        load_plugins([str(path)])
    assert "own_mistake" not in sys.modules
    assert str(tmp_path) not in sys.path[:1]


def test_names_that_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plugin_files.write(tmp_path)
    assert Source.found("own_rules") == Source.found("./own_rules.py") == Source("own_rules", tmp_path / "own_rules.py")
    with pytest.raises(UserError, match=r"there is no plug-in 'own_rule\.py': name a Python file"):
        Source.found("own_rule.py")
    for name in ("random.py", "torch.py", "chtexp.py"):
        (tmp_path / name).write_text("")
        with pytest.raises(UserError, match="is the name of another module"):
            Source.found(name)
    (tmp_path / "my-rules.py").write_text("")
    with pytest.raises(UserError, match="needs a name that Python can import"):
        Source.found("my-rules.py")
    with pytest.raises(UserError, match="plugins must be a list"):
        load_plugins(3)
    assert Source.found("yaml").is_installed


def test_an_installed_package_is_imported_when_its_rule_is_asked_for(tmp_path: Path) -> None:
    """In a process of its own, as an installed package: module and entry point lie on the Python path."""
    (tmp_path / "own_installed.py").write_text(plugin_files.RULES)
    info = tmp_path / "own_installed-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-installed\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[chtexp.plugins]\nmine = own_installed\n")
    plugin_files.write(tmp_path)
    code = (
        "import sys\nfrom pathlib import Path\nfrom chtexp.config.compose import compose_run\n"
        "compose_run(['data=digits', 'method=set', 'paths.runs=runs'])\n"
        "assert 'own_installed' not in sys.modules\n"
        "run = compose_run(['data=digits', 'method=busy', 'paths.runs=runs'], Path('conf'))\n"
        "print(run.plugins[0].name, *run.plugins[0].registers)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(tmp_path)!r})\n{code}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("own_installed regrowth busy removal shaken\n", "")


def test_what_is_registered_is_checked_at_once() -> None:
    with pytest.raises(
        UserError, match=r"regrowth mine has an argument 'weights'; it may read: mask_OI, .*stand behind \*"
    ):
        regrowth("mine")(lambda mask_OI, weights: mask_OI)
    with pytest.raises(UserError, match=r"removal mine must name its arguments, without \*rest"):
        removal("mine")(lambda weight_K, *rest: weight_K)
    with pytest.raises(UserError, match="topology er is there already: choose another name"):
        topology("er")(lambda links: links)
    with pytest.raises(UserError, match="density fixed is there already"):
        density("fixed")(lambda step: step)
    with pytest.raises(UserError, match="a name of letters, digits and _"):
        regrowth("my rule")(lambda mask_OI: mask_OI)
    assert not PLUGGED.found


def test_parameters_have_types_and_defaults(tmp_path: Path) -> None:
    file = plugin_files.write(tmp_path)
    method = load_method("busy", folder=tmp_path / "conf/method", plugins=[file], regrowth={"power": 3})
    assert method.regrowth.parameters == {"power": 3}
    assert load_method("busy", folder=str(tmp_path / "conf/method"), regrowth={"power": 3}) == method
    with pytest.raises(UserError, match="nowhere is no folder of methods"):
        load_method("busy", folder="nowhere")
    assert method.needs_gradient
    for wrong, said in {
        "power": ": power should be a valid number",
        "pover": " has no parameter 'pover'; it takes: power",
    }.items():
        with pytest.raises(UserError, match=f"method.regrowth: regrowth busy{said}"):
            load_method("busy", folder=tmp_path / "conf/method", regrowth={wrong: "much"})
    with pytest.raises(UserError, match=r"unknown key 'method.regrowth.power'"):
        load_method("set", regrowth={"power": 2})
    with pytest.raises(
        UserError, match=r"unknown regrowth rule 'bussy' \(did you mean 'busy'\?\).*needs its plug-in: --plugin"
    ):
        load_method("set", regrowth={"rule": "bussy"})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return initial if step < 500 else final", None),
        ("return initial", "ends at 0.5, at the last update"),
        ("return final if step < 500 else initial", "rises at step 500"),
        ("return initial - 0.6 if step < 500 else final", "it must be in"),
        ("return 'much'", "gives the density 'much' at step 0"),
    ],
)
def test_a_density_must_fall_to_the_final_one(body: str, said: str | None, tmp_path: Path) -> None:
    source = f"from chtexp.plugins import density\n@density('mine')\ndef mine(step, initial, final):\n    {body}\n"
    (tmp_path / "own_density.py").write_text(source)
    wanted = {"density": {"kind": "mine", "initial_sparsity": 0.5}}
    method = load_method("set", plugins=[tmp_path / "own_density.py"], sparsity=0.9, **wanted)
    if said is None:
        schedule = method.schedule(1000, 100)
        assert [schedule(step) for step in (0, 499, 500, 900)] == pytest.approx([0.5, 0.5, 0.1, 0.1])
        assert schedule.end_step == 500
        return
    with pytest.raises(UserError, match=f"density mine .*{said}"):
        method.schedule(1000, 100)
    with pytest.raises(UserError, match="needs an initial_sparsity"):
        load_method("set", sparsity=0.9, density={"kind": "mine", "initial_sparsity": None})


MAKER = "def powered(power):\n    def rule(mask_OI):\n        return mask_OI.float() ** power\n    return rule\n"


def own_run(folder: Path, *names: str, rule: str = "busy") -> Run:
    """A run of SET with a rule of some modules in a folder, in a process that knows nothing of them yet."""
    with plugin_files.nothing_left():
        named = ",".join(f"{folder}/{name}" for name in names)
        return compose_run(
            ["data=digits", f"plugins=[{named}]", f"method.regrowth.rule={rule}", "method=set", "paths.runs=r"]
        )


def test_a_rule_is_of_the_plug_in_that_registers_it_wherever_it_is_defined(tmp_path: Path) -> None:
    (tmp_path / "beside_makers.py").write_text(MAKER)
    text = "from chtexp.plugins import regrowth\nfrom beside_makers import powered\nregrowth('busy')(powered(2.0))\n"
    (tmp_path / "own_fac.py").write_text(text)
    before = own_run(tmp_path, "own_fac.py")
    assert [one.name for one in before.plugins] == ["own_fac"]
    (tmp_path / "own_fac.py").write_text(text.replace("2.0", "3.0"))
    assert own_run(tmp_path, "own_fac.py").id != before.id
    partial = "from functools import partial\nfrom chtexp.plugins import regrowth\n"
    partial += "regrowth('busy')(partial(lambda mask_OI, *, p: mask_OI * p, p=2.0))\n"
    (tmp_path / "own_part.py").write_text(partial)
    assert [one.name for one in own_run(tmp_path, "own_part.py").plugins] == ["own_part"]


IMPORTS = {
    "a package's neighbour": {
        "own_pack/__init__.py": "import own_pack.rules\n",
        "own_pack/rules.py": "from beside_consts import POWER\n" + RULE,
        "beside_consts.py": "POWER = 1\n",
    },
    "a folder without __init__": {
        "own_flat.py": "from beside_lib.core import POWER\n" + RULE,
        "beside_lib/core.py": "from beside_deep import POWER\n",
        "beside_deep.py": "POWER = 1\n",
    },
    "inside a function": {
        "own_lazy.py": RULE.replace("    return", "    from beside_late import POWER\n    return"),
        "beside_late.py": "POWER = 1\n",
    },
    "a file of data": {
        "own_data_pack/__init__.py": "from pathlib import Path\nPOWER = int((Path(__file__).parent / 'power.txt').read_text())\n"
        + RULE,
        "own_data_pack/power.txt": "1",
    },
}


@pytest.mark.parametrize("case", IMPORTS)
def test_whatever_a_plug_in_reads_from_beside_it_is_its_source_and_is_copied(case: str, tmp_path: Path) -> None:
    for name, text in IMPORTS[case].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    first, last = next(iter(IMPORTS[case])), list(IMPORTS[case])[-1]
    named = first.partition("/")[0]
    before = own_run(tmp_path, named)
    with plugin_files.nothing_left():
        load_plugins([str(tmp_path / named)])
        (frozen,) = frozen_plugins(before.plugins, tmp_path / "copies")
    changed = (tmp_path / last).read_text().replace("1", "2")
    (tmp_path / last).write_text(changed)
    after = own_run(tmp_path, named)
    assert after.id != before.id
    for run, power in ((before.model_copy(update={"plugins": (frozen,)}), 1), (after, 2)):
        with plugin_files.nothing_left():
            describe_run(run.config())
            assert PLUGGED.found["regrowth", "busy"].call({}, {}) == power, "the copy computes what the run computed"


def test_two_plug_ins_with_helpers_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder, power in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside_utils.py").write_text(f"POWER = {power}\n")
        rule = RULE.replace('"busy"', f'"busy_{folder}"')
        (tmp_path / folder / f"own_{folder}.py").write_text("from beside_utils import POWER\n" + rule)
    with pytest.raises(
        UserError, match=r"the plug-in 'own_b' has a module 'beside_utils', and so has the one in .*/a: rename"
    ):
        own_run(tmp_path, "a/own_a.py", "b/own_b.py", rule="busy_a")
    (tmp_path / "b/beside_utils.py").write_text("POWER = 1\n")
    assert own_run(tmp_path, "a/own_a.py", "b/own_b.py", rule="busy_b").plugins[0].name == "own_b"


def test_a_module_of_the_same_name_elsewhere_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, power in (("mine", 1), ("other", 99)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside_late.py").write_text(f"POWER = {power}\n")
    (tmp_path / "mine/own_lazy.py").write_text(IMPORTS["inside a function"]["own_lazy.py"])
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    load_plugins([str(tmp_path / "mine/own_lazy.py")])
    assert PLUGGED.found["regrowth", "busy"].call({}, {}) == 1


def test_what_is_executed_is_what_was_hashed_whatever_bytecode_lies_there(tmp_path: Path) -> None:
    file = tmp_path / "own_stale.py"
    file.write_text("POWER = 1\n" + RULE)
    stamp = file.stat().st_mtime_ns
    py_compile.compile(str(file))
    file.write_text("POWER = 2\n" + RULE)
    os.utime(file, ns=(stamp, stamp))
    load_plugins([str(file)])
    assert PLUGGED.found["regrowth", "busy"].call({}, {}) == 2


def test_what_is_edited_later_does_not_change_a_process(tmp_path: Path) -> None:
    file = plugin_files.write(tmp_path)
    words = ["data=digits", "method=busy", f"plugins=[{file}]", f"paths.runs={tmp_path}/runs"]
    before = compose_run(words, tmp_path / "conf")
    written = file.read_text()
    file.write_text("raise SystemExit(0)\n")
    assert compose_run(words, tmp_path / "conf").id == before.id
    (frozen,) = frozen_plugins(before.plugins, tmp_path / "copies")
    assert frozen.place.read_text() == written


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise SystemExit(0)\n", "cannot be imported: SystemExit: 0"),
        ("X = 1\n", "it registers nothing"),
        (
            "from chtexp.plugins import removal\n@removal\ndef f(weight_K):\n    return weight_K\n",
            "registered by a name",
        ),
        ("from chtexp.plugins import data\n@data('npz')\ndef f():\n    pass\n", "data npz is there already"),
        (
            "from chtexp.plugins import removal\n@removal('wm')\ndef f(weight_K):\n    pass\n",
            "removal wm is there already",
        ),
        (
            "from chtexp.plugins import regrowth\n@regrowth('x')\ndef f(mask_OI, *, soft=1):\n    pass\n",
            "a parameter 'soft'",
        ),
        ("from chtexp.plugins import model\n@model('x')\ndef f(shape, *, name=1):\n    pass\n", "a parameter 'name'"),
        (
            "from chtexp.plugins import density\n@density('x')\ndef f(step, *, a: 'Nope' = 1):\n    pass\n",
            "type 'Nope'",
        ),
    ],
)
def test_a_plug_in_that_does_not_register_as_it_should_leaves_nothing(source: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "own_wrong.py").write_text(
        "from chtexp.plugins import topology\ntopology('kept')(lambda links: links)\n" + source
    )
    if "nothing" in said:
        (tmp_path / "own_wrong.py").write_text(source)
    with pytest.raises(UserError, match=said):
        load_plugins([str(tmp_path / "own_wrong.py")])
    assert not PLUGGED.found
    assert "own_wrong" not in sys.modules


def test_only_the_types_of_parameters_are_read(tmp_path: Path) -> None:
    text = """from __future__ import annotations
from typing import TYPE_CHECKING
from chtexp.plugins import regrowth
if TYPE_CHECKING:
    from torch import Tensor

@regrowth("busy")
def busy(mask_OI: Tensor, *, power: float = 1.0) -> Tensor:
    return power
"""
    (tmp_path / "own_typed.py").write_text(text)
    load_plugins([str(tmp_path / "own_typed.py")])
    one = load_method("set", regrowth={"rule": "busy", "power": "2.0"})
    assert one.regrowth.parameters == {"power": 2.0}
    assert one == load_method("set", regrowth={"rule": "busy", "power": 2})


@pytest.mark.parametrize("named", ["", ".", "/", "~nobody_at_all/x.py", "own.v2"])
def test_names_of_no_plug_in(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text("")
    with pytest.raises(UserError, match="there is no plug-in"):
        Source.found(named)


def test_a_part_of_a_package_is_not_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'yaml.nothing' is a part of a package: name the package, --plugin yaml"):
        Source.found("yaml.nothing")
