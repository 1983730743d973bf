"""Everything a person may type wrong ends in one clear line, exit code 2, and no run that looks finished."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from chtexp.cli import main
from chtexp.config.run import Run
from chtexp.cost.count import cost
from chtexp.errors import UserError
from chtexp.store import RunFolder, condition

MISTAKES = {
    "method=chtz": "unknown method 'chtz' (did you mean 'cht'?); choose one of: cht, chts_n",
    "method=transformer/chtsss": "'transformer/chtsss' (did you mean 'transformer/chtss'?); choose one of: transformer/cht, ",
    "method=transfomer/set": "(did you mean 'transformer/set'?)",
    "data=mnits": "unknown data 'mnits' (did you mean 'mnist'?)",
    "method.topology=brf": "method.topology=brf: a part is chosen with a slash, method/topology=brf; with a dot, its own keys",
    "method.sparsity=1.2": "method.sparsity should be less than 1, not 1.2",
    "method.sparsity=-0.1": "method.sparsity should be greater than or equal to 0",
    "method.sparsity=much": "method.sparsity should be a valid number",
    "method.sparsity=0.999999": "without any link",
    "task.epochs=-3": "task.epochs should be greater than 0, not -3",
    "task.epocs=3": "unknown key or axis 'task.epocs' (did you mean 'task.epochs'?)",
    "+task.epocs=3": "unknown key 'task.epocs' (did you mean 'epochs'?)",
    "mehtod=set": "unknown key or axis 'mehtod' (did you mean 'method'?)",
    "method/removal=wmm": "unknown method/removal 'wmm' (did you mean 'wm'?)",
    "method.removal.rule=magnitude": "unknown removal rule 'magnitude'; choose one of: mest, ri",
    "method.zeta=1.5": "method.zeta should be less than or equal to 1",
    "method.zeta_schedule=linear": "method.zeta_schedule should be 'constant' or 'cosine'",
    "+method.topology.beta=0.1": "topology 'csti' takes no 'beta'",
    "method/topology=brf method.topology.r=7": "method.topology: r must be a number in [0, 1], not 7",
    "method/topology=brf method.topology.r=abc": "method.topology: r must be a number in [0, 1], not 'abc'",
    "data.mean=[0.1,0.2]": "data.mean needs one number for each of 1 channels, not 2",
    "task.selection=validation task.validation_fraction=0.0001": "leaves 0 to validate",
    "paths.runs=": "paths.runs: must name a folder",
    "hydra/launcher=nosuch": "unknown hydra/launcher 'nosuch'",
    "+method.density.k=3": "density schedule 'fixed' has no parameter 'k'",
    "model.hidden=[0]": "model.hidden.0 should be greater than 0",
    "model.hidden=[4,4,4]": "without any link",
    "seed=first": "seed should be a valid integer",
    "seed=-1": "seed should be greater than or equal to 0",
    "hardware.execution=csr hardware.compile=true": "has compiled code of its own",
    "hardware.device=tpu": "hardware.device should be 'cpu' or 'cuda'",
    "task=vision": "unknown task 'vision'; choose one of: image_classification",
    "method=fc method.sparsity=0.5": "its sparsity must be 0",
    "method=chtss_n method.density.end=0.0": "0 <= start < end <= 1",
    "method=chtss_n method.sparsity=0.3": "must be below the target",
    "method=chtss_n task.epochs=1": "task.epochs=1 at budget=smoke is 1 epoch, and a falling density needs a topology update",
    "data=fashion_mnist paths.data=null": "chtexp prepare data=fashion_mnist",
    "model=transformer_base": "model transformer does not fit data digits: choose another model (mlp, resnet20, vgg16), or ",
    "model=llama_nano task=language_modelling": "task language_modelling does not fit data digits: choose another task (image_",
    "task.learning_rate.schedule=cubic": "task.learning_rate.schedule should be one of 'linear', 'steps', not 'cubic'",
    "task.learning_rate.schedule=steps": "unknown key 'task.learning_rate.end'; choose one of: at, factor, schedule, start;",
    "task.learning_rate.start=-1": "task.learning_rate.start should be greater than 0, not -1",
    "model.name=vggg": "unknown model.name 'vggg' (did you mean 'vgg'?); choose one of: mlp, resnet, vgg",
    "model=vgg16": "model vgg halves images 4 times, which images of 8 x 8 pixels are too small for",
    "model=resnet20 method=chts_n": "does not fit model resnet: its topology correlates input features, which its first ",
    "model=resnet20 data=multi30k": "model resnet does not fit data multi30k: choose another model (transformer_base, ",
    "model=resnet20 method=rigl hardware.execution=csr": "csr execution is of nn.Linear alone, and layer 'blocks.0.conv1'",
    "~data.mlp_hidden": "model.hidden is taken from data.mlp_hidden, which is not there: set model.hidden",
    "digits": "cannot read 'digits': an override is key=value",
    "seed=0,1": "'seed=0,1' gives several values where one belongs; chtexp sweep and chtexp train -m train several runs",
    "method.name=": "method.name should",
    "--frobnicate": "unknown flag '--frobnicate'",
}


@pytest.mark.parametrize("typed", MISTAKES, ids=str)
def test_a_mistake_is_one_clear_line_and_exit_code_2(typed: str, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("CHTEXP_DATA", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["train", "data=digits", "budget=smoke", *typed.split()])
    said = capsys.readouterr().err.strip()
    assert ended.value.code == 2
    assert said.startswith("chtexp: ")
    assert "\n" not in said
    assert MISTAKES[typed] in said
    assert RunFolder.every(tmp_path / "runs") == [], "what could only fail again"


def test_a_network_that_percolates_to_nothing_is_a_mistake(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    with pytest.raises(SystemExit) as ended:
        main(["train", "data=digits", "budget=smoke", "model.hidden=[40,40,40,40]", "method/topology=er"])
    said = capsys.readouterr().err.strip()
    assert ended.value.code == 2
    assert "percolation leaves layer" in said
    assert "\n" not in said
    assert [condition(folder).state for folder in RunFolder.every(tmp_path / "runs")] == ["failed"]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["sweep", "tabel7"], "unknown table 'tabel7' (did you mean 'table7'?)"),
        (
            ["plan", "table7", "data=cifar"],
            "unknown data of this table 'cifar'; choose one of: emnist, fashion_mnist, mnist",
        ),
        (["plan", "table7", "method=mine"], "a row of your own is added by +method=..."),
        (["plan", "table7", "+method=mine"], "unknown method 'mine'"),
        (["plan", "table7", "seed=x"], "seed takes whole numbers"),
        (["table", "table7", "--format", "docx"], "unknown format 'docx'; choose one of: csv, html, json, latex, md"),
        (["table", "table2", "colum=multi30k"], "unknown key of this table 'colum' (did you mean 'column'?)"),
        (
            ["plan", "table7", "rows=FC"],
            "unknown key of this table 'rows' (did you mean 'row'?); choose one of: column, ",
        ),
        (["table", "table7", "budget=huge"], "unknown budget 'huge'; choose one of: cpu, paper, smoke"),
        (["table", "table7", "--config-dir", "nowhere"], "--config-dir nowhere is not a folder"),
        (["prepare", "data=imagenet"], "unknown data 'imagenet'"),
        (["prepare"], "say which data set"),
        (["train", "-m", "method=set,foo"], "unknown method 'foo'"),
        (["train", "-m", "method=set", "hydra.launcher.foo=1"], "hydra.launcher.foo"),
        (["sweep", "quickstart", "launcher=nosuch"], "unknown launcher 'nosuch'; choose one of: local, serial, slurm"),
        (
            ["sweep", "quickstart", "launcher.wrokers=2"],
            "(did you mean 'launcher.workers'?)",
        ),
        (["sweep", "quickstart", "launcher.workers=0"], "launcher.workers"),
        (["sweep", "quickstart", "launcher=slurm", "launcher.memory=-1"], "launcher.memory"),
        (["sweep", "quickstart", "max_failures=0"], "max_failures"),
        (["collect", "--output", "runs.csv"], "unknown suffix '.csv'; choose one of: .jsonl, .parquet"),
        (["collect", "--add", "nowhere.jsonl"], "nowhere.jsonl is not there"),
        (["sweep", "table7", "seed=-1"], "seed takes whole numbers from 0"),
        (["sweep", "quickstart", "launcher=slurm", "launcher.quos=x"], "(did you mean 'launcher.qos'?)"),
        (["sweep", "quickstart", "max_failure=1"], "(did you mean 'max_failures'?)"),
        (["sweep", "quickstart", "hardware.nodes=2"], "hardware.nodes=2 needs a Slurm job of 2 nodes"),
        (["sweep", "quickstart", "launcher.gpus=[0]"], "the runs train on the CPU"),
        (["sweep", "quickstart", "--detatch"], "unknown flag '--detatch' (did you mean '--detach'?)"),
        (["sweep"], "the following arguments are required: TABLE; chtexp sweep --help"),
        (["swep", "table7"], "unknown command 'swep' (did you mean 'sweep'?)"),
        (["train", "launcher=local"], "launcher=local: chtexp train is one run"),
        (["train", "max_failure=1"], "max_failure=1: chtexp train is one run"),
        (
            ["train", "model=mlp", "data=multi30k"],
            "model mlp does not fit data multi30k: choose another model (transformer_base, transformer_small), or other data (",
        ),
        (
            ["train", "task=image_classification", "data=iwslt14"],
            "choose another task (translation, translation_iwslt14, ",
        ),
        (
            ["train", "data=multi30k", "method=chts_n"],
            "method CHTs_n does not fit data multi30k: its topology correlates input features, which text does not have; "
            "choose one of: transformer/cht, transformer/chts, ",
        ),
        (["plan", "table2", "column=multi30k_90", "+method=cht"], "method CHT does not fit data multi30k"),
        (["train", "data=multi30k", "method=chts"], "unknown method 'chts' (did you mean 'transformer/chts'?); choose"),
        (["train", "data=multi30k", "model.widht=3"], "(did you mean 'model.width'?)"),
        (["status"], "there is no folder"),
        (["status", "nowhere"], "it takes paths.runs=FOLDER alone: paths.runs=nowhere"),
        (["paper", "data=mnist"], "'data=mnist' means nothing to this command"),
        (["clean", "data=mnist"], "'data=mnist' means nothing to this command"),
        (["table", "table7", "budget=smoke,cpu"], "gives several values where one belongs"),
        (["report", "--results", "nowhere.jsonl"], "there is no file nowhere.jsonl; 'chtexp collect --output"),
        (
            ["report", "--results", "."],
            ". is a folder, and collected results are a file; a folder of runs is paths.runs=.",
        ),
        (["generate", "nowhere", "Once"], "nowhere is no run's folder"),
        (["table", "table7", "--output", "/dev/null/x.md"], "/dev/null"),
        (["translate", "nowhere", "--file", "nowhere.txt"], "nowhere.txt: No such file"),
        (["collect"], "there is no folder"),
        (["clean", "--yes"], "there is no folder"),
        (["translate", "nowhere", ""], "sentence 1 of 1 is empty"),
        (["translate", "nowhere", "Hello.", " \n"], "sentence 2 of 2 is empty"),
        (["translate", "nowhere", "--file", "/dev/null"], "/dev/null holds no sentence"),
        (["status", "--failed", "--json"], "not allowed with argument --failed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_with_other_commands(typed: list[str], wanted: str, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    with pytest.raises(SystemExit) as ended:
        main(typed)
    said = capsys.readouterr().err.strip()
    assert ended.value.code == 2
    assert wanted in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["train", "data=digits", "budget=smoke", "paths.runs=/dev/null"], "cannot be written"),
        (["sweep", "quickstart", "paths.runs=/dev/null"], "cannot be made"),
        (["collect", "--add", "torn.jsonl"], "torn.jsonl cannot be read as a collection of results"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_the_disk_refuses_is_a_failure_and_no_mistake(typed, wanted, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn.jsonl").write_text("{")
    with pytest.raises(SystemExit) as ended:
        main(typed)
    said = capsys.readouterr().err.strip()
    assert ended.value.code == 1
    assert wanted in said
    assert "\n" not in said


def test_there_are_no_jobs_where_there_is_no_slurm(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "quickstart", "budget=smoke", "launcher=slurm"])
    assert ended.value.code == 2
    assert "there is no sbatch here; use launcher=local" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_training_too_short_says_what_the_budget_makes_of_its_steps(small_translation: Callable[..., Run]) -> None:
    for steps, said in ((20, "1 step"), (2000, "60 steps")):
        run = small_translation("method=transformer/chtss", f"task.steps={steps}", "method.density.start=0.75",
                                "method.density.end=0.79")  # fmt: skip
        with pytest.raises(UserError, match=rf"^task\.steps={steps} at budget=smoke is {said}, and a falling density"):
            cost(run)


@pytest.mark.parametrize(
    "typed", ["translate RUN Hello.", "generate RUN Once", "export RUN mine", "zeroshot RUN"], ids=lambda typed: typed
)
def test_a_folder_of_several_seeds_says_which_it_holds(typed: str, tmp_path, capsys) -> None:
    folder = tmp_path / "multi30k-chtss-cpu-0123456789"
    for seed in (0, 2, 10):
        (folder / f"seed-{seed}").mkdir(parents=True)
        (folder / f"seed-{seed}" / "config.yaml").touch()
    with pytest.raises(SystemExit) as ended:
        main([str(folder) if word == "RUN" else word for word in typed.split()])
    said = capsys.readouterr().err.strip()
    assert ended.value.code == 2
    assert said.endswith(f"it holds seed-0, seed-2, seed-10; name one, e.g. {folder / 'seed-0'}")
    assert "\n" not in said


def test_a_diverged_training_is_a_failure_with_a_reason_not_a_result(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    with pytest.raises(SystemExit) as ended:
        main(["train", "data=digits", "method=set", "budget=smoke", "task.learning_rate.start=1e9"])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "the training loss is nan" in said
    assert "Traceback" not in said
    (folder,) = RunFolder.every(tmp_path / "runs")
    assert condition(folder).state == "failed"
    start = folder.last_start()
    assert start is not None
    assert start.ending is not None
    assert "Diverged" in start.ending.traceback
    assert folder.read_result() is None
    with pytest.raises(SystemExit):
        main(["status", "--failed"])
    said = capsys.readouterr().out
    assert "the training loss is nan" in said
    assert "go on: chtexp train data=digits method=set budget=smoke task.learning_rate.start=1e9" in said


def test_a_run_that_ended_without_a_word_shows_the_last_step_that_its_metrics_tell(
    tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    folder = RunFolder(tmp_path / "runs" / "multi30k-chtss-smoke-0123456789" / "seed-0")
    with suppress(MemoryError), folder.claimed():
        folder.metrics.write_text('{"kind": "update", "step": 30}\n{"kind": "upd')  # none was evaluated yet
        raise MemoryError
    with pytest.raises(SystemExit):
        main(["status"])
    assert capsys.readouterr().out.splitlines()[1].split()[:4] == [folder.path.parent.name, "0", "failed", "30"]


@pytest.mark.parametrize(
    "command", ["train", "sweep", "plan", "status", "table", "collect", "clean", "prepare", "bench"]
)
def test_every_command_has_help_with_an_example(command: str, chtexp) -> None:
    said = chtexp(command, "--help").stdout
    assert f"chtexp {command} " in said.replace("usage: ", "")
    assert "example" in said.lower()


def test_a_mistake_in_ones_own_files_names_the_file(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    (tmp_path / "method" / "llama").mkdir(parents=True)
    (tmp_path / "paper").mkdir()
    (tmp_path / "method" / "mine.yaml").write_text("name: Mine\n  sparsity: 0.5\n")
    (tmp_path / "method" / "llama" / "own.yaml").write_text("name: Own\n")
    (tmp_path / "paper" / "torn.yaml").write_text("title: [\n")
    (tmp_path / "paper" / "lost.yaml").write_text(
        "title: x\nseeds: [0]\nreference: FCC\ncolumns: {digits: [data=digits]}\ngroups: {all: {FC: [method=fc]}}\n"
    )
    (tmp_path / "paper" / "typo.yaml").write_text(
        "title: x\nseeds: [0]\ncolumns: {digits: [data=digits]}\n"
        "groups: {all: {FC: [method=fc, method.sparsity=0], SET: [method=set, method.zetta=0.1]}}\n"
    )
    for typed, wanted in (
        (["train", "data=digits", "method=mine"], "mine.yaml"),
        (["train", "method=llama/owm"], "unknown method 'llama/owm' (did you mean 'llama/own'?)"),
        (["plan", "torn"], "torn.yaml is no YAML"),
        (["plan", "lost"], "unknown reference row 'FCC' (did you mean 'FC'?)"),
        (["plan", "typo"], "paper/typo.yaml, row SET, column digits: unknown key or axis 'method.zetta'"),
        (["plan", "typo", "row=FC", "task.epocs=1"], "chtexp: unknown key or axis 'task.epocs'"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*typed, "--config-dir", str(tmp_path)])
        said = capsys.readouterr().err.strip()
        assert ended.value.code == 2
        assert wanted in said
        assert "\n" not in said


def test_a_start_that_cannot_be_leaves_a_finished_run_alone(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    typed = ["train", "data=digits", "method=set", "budget=smoke", "model.hidden=[40]", "method.sparsity=0.5"]
    with pytest.raises(SystemExit) as ended:
        main(typed)
    assert not ended.value.code
    (folder,) = RunFolder.every(tmp_path / "runs")
    with pytest.raises(SystemExit) as ended:
        main([*typed, "overwrite=true", "hardware.device=cuda"])
    assert ended.value.code == 2
    assert condition(folder).state == "done"
    assert list(folder.checkpoints.iterdir())


def test_a_broken_result_is_named_and_hides_nothing_else(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    for seed in (0, 1):
        with pytest.raises(SystemExit):
            main(["train", "data=digits", "method=fc", "method.sparsity=0", "budget=smoke", f"seed={seed}"])
    first, _ = RunFolder.every(tmp_path / "runs")
    first.result.write_text("{")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["status"])
    said = capsys.readouterr().out
    assert not ended.value.code
    assert "1 damaged" in said
    assert said.count("accuracy ") == 1
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "quickstart", "method=fc", "seed=0,1", "budget=smoke"])
    swept = capsys.readouterr()
    assert ended.value.code == 1
    assert "2 runs, 1 done, 1 damaged, 0 to start" in swept.out
    assert f"damaged: {first.path}  ({first.result} cannot be read" in swept.err
    assert f"chtexp status --failed paths.runs={tmp_path / 'runs'} says what to do" in swept.out
    with pytest.raises(SystemExit) as ended:
        main(["table", "quickstart"])
    assert not ended.value.code
    shown = capsys.readouterr()
    assert f"not shown: {first.result} cannot be read" in shown.err
    assert "Damaged, and not shown: 1 of its results." in shown.out
    assert "|   1 |" in shown.out  # seed 1
    with pytest.raises(SystemExit) as ended:
        main(["train", "data=digits", "method=fc", "method.sparsity=0", "budget=smoke", "seed=0"])
    assert not ended.value.code
    assert "result.json.damaged, and the run goes on without it" in capsys.readouterr().out
    assert condition(first).state == "done"
    first.result.unlink()
    with pytest.raises(SystemExit) as ended:
        main(["table", "quickstart", "seed=0"])
    assert not ended.value.code
    assert "|   0 |" in capsys.readouterr().out  # seed 1 is done, and was not asked for


def test_what_is_misspelt_is_said_before_torch_is_loaded() -> None:
    """Loading it takes seconds."""
    code = "import sys\nfrom chtexp.cli import main\ntry: main(['train', 'dta=mnist'])\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n"
    assert "did you mean 'data'" in done.stderr
    assert done.returncode == 2
