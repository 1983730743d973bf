"""Whatever is typed, composition ends in a valid description of a run or in one clear error."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chtexp.config.compose import compose_run, compose_sweep
from chtexp.config.resources import axes
from chtexp.config.run import Run, describe_run
from chtexp.errors import UserError

KEYS = (
    "seed", "overwrite", "checkpoint.seconds", "checkpoint.steps", "hardware.threads", "hardware.execution",
    "hardware.precision", "model.hidden", "task.epochs", "task.batch_size", "task.learning_rate.start", "task.optimizer.momentum",
    "method.sparsity", "method.zeta", "method.zeta_schedule", "method.topology.r", "method.removal.soft.delta_start",
    "method.regrowth.rule", "method.density.start", "budget.fraction", "budget.train_limit", "paths.runs", "data.shape",
    "logger.mode", "nosuch", "method.nosuch", "data.nosuch.deeper",
)  # fmt: skip
CHOICES = ("mnist", "digits", "mlp", "chts_n", "cht", "fc", "gmp", "granet", "er", "csti_brf", "set", "wm_soft", "random",
           "ch3_l3p_soft", "sigmoid", "cubic", "em_s", "fixed", "paper", "smoke", "gpu", "cpu", "wandb", "nosuch")  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(CHOICES),
    st.integers(-2, 10**12).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(
        ["null", "true", "[]", "[40,40]", "{}", "{a: 1}", "''", "", "1e400", "0.5", "'it''s'", "${seed}", "${x", "a,b"]
    ),
    st.text("abc01-+.=[]{}'\"$\\ ", max_size=8),
)
PREFIXES = st.sampled_from(["", "", "", "", "+", "~", "++"])


def overrides(keys: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    one = st.tuples(PREFIXES, st.sampled_from(keys), VALUES).map(lambda parts: f"{parts[0]}{parts[1]}={parts[2]}")
    return st.lists(one | st.text("ab=.~+[", max_size=6), max_size=4)


def one_clear_line(error: UserError) -> None:
    assert len(str(error).splitlines()) == 1, error


@given(overrides((*KEYS, *axes())))
@settings(max_examples=150, deadline=None)
def test_a_run_or_one_clear_error(typed: list[str]) -> None:
    try:
        run = compose_run(["data=digits", *typed])
    except UserError as error:
        one_clear_line(error)
        return
    assert isinstance(run, Run)
    assert len(run.id) == 10
    assert describe_run(run.config()).id == run.id


@given(
    overrides(
        (
            "launcher",
            "launcher.workers",
            "launcher.gpus",
            "launcher.time",
            "launcher.sbatch",
            "max_failures",
            "launcher.x",
        )
    )
)
@settings(max_examples=50, deadline=None)
def test_a_launcher_or_one_clear_error(typed: list[str]) -> None:
    try:
        compose_sweep(typed)
    except UserError as error:
        one_clear_line(error)
