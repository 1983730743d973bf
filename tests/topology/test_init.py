"""What defines each topology: exact budgets, conserved degrees, distances, tails, correlations, seeds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import array, bincount, random
from torch import Tensor

from chtexp.errors import UserError
from chtexp.topology import feature_correlation, init_mask, link_budget, topology_names
from chtexp.topology.scale_free import _across, _attachments, _grow


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


CORRELATION = feature_correlation(torch.rand(50, 7, generator=seeded(9)))
VARIANTS: list[tuple[str, dict]] = [
    ("er", {}),
    ("brf", {"r": 0.0}),
    ("brf", {"r": 0.0, "degree": "uniform"}),
    ("brf", {"r": 0.3}),
    ("brf", {"r": 0.3, "degree": "uniform"}),
    ("brf", {"r": 0.3, "degree": "multinomial"}),
    ("brf", {"r": 1.0}),
    ("bsw", {"beta": 0.0}),
    ("bsw", {"beta": 0.4}),
    ("bsw", {"beta": 1.0}),
    ("bsf", {}),
    ("bsf", {"equal_partition": True}),
    ("csti", {"correlation": CORRELATION}),
]
IDS = [" ".join([name, *(f"{k}={v}" for k, v in p.items() if k != "correlation")]) for name, p in VARIANTS]


def make(name: str, rows: int, columns: int, density: float, seed: int = 0, **params: object) -> Tensor:
    return init_mask(name, rows, columns, density, generator=seeded(seed), **params)


def ring_distance(rows: int, columns: int) -> Tensor:
    """[rows, columns]: how far input i is from the place of output j on the ring of inputs, in inputs."""
    apart = torch.arange(columns) - torch.arange(rows)[:, None] * columns / rows
    return torch.minimum(apart.abs(), columns - apart.abs())


@pytest.mark.parametrize(("name", "params"), VARIANTS, ids=IDS)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    density=st.one_of(st.floats(0.01, 1.0), st.just(1.0)),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_the_budget_is_met_exactly(name: str, params: dict, rows: int, columns: int, density: float, seed: int) -> None:
    if round(density * rows * columns) == 0:
        return
    mask = make(name, rows, columns, density, seed, **params)
    assert mask.dtype == torch.bool
    assert mask.shape == (rows, columns)
    assert mask.sum() == link_budget(rows, columns, density) == round(density * rows * columns)


@pytest.mark.parametrize(("name", "params"), VARIANTS, ids=IDS)
def test_the_same_seed_gives_the_same_mask(name: str, params: dict) -> None:
    first, again, other = (make(name, 60, 40, 0.1, seed, **params) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    deterministic = name == "csti" or params in ({"r": 0.0}, {"beta": 0.0})
    assert torch.equal(first, other) == deterministic


def test_er_spreads_links_evenly() -> None:
    counts = sum(make("er", 6, 5, 0.3, seed).long() for seed in range(1000))
    assert (torch.as_tensor(counts) - 300).abs().max() < 4.5 * (1000 * 0.3 * 0.7) ** 0.5


# ---- receptive field


@pytest.mark.parametrize("r", [0.0, 1e-300, 0.2, 1.0])
@pytest.mark.parametrize(("rows", "columns", "density"), [(30, 50, 0.1), (50, 30, 0.13), (40, 40, 0.99)])
def test_brf_fixed_degrees_are_equal_up_to_one(r: float, rows: int, columns: int, density: float) -> None:
    degrees = make("brf", rows, columns, density, r=r).sum(1)
    assert degrees.max() - degrees.min() <= 1


@pytest.mark.parametrize("r", [0.0, 0.2, 1.0])
def test_brf_uniform_degrees_fill_their_range(r: float) -> None:
    # k = 10 links an output: degrees 1..19, every one of them about 2000 / 19 = 105 times.
    degrees = make("brf", 2000, 100, 0.1, r=r, degree="uniform").sum(1)
    counts = degrees.bincount(minlength=20)
    assert counts.numel() == 20
    assert counts[0] == 0
    assert (counts[1:] - 2000 / 19).abs().max() < 5 * (2000 / 19) ** 0.5


@pytest.mark.parametrize(
    ("columns", "density", "low", "high"),
    [(100, 0.023, 1, 4), (50, 0.8, 30, 50), (100, 0.004, 0, 1), (100, 0.01, 1, 1)],
)
def test_brf_uniform_degrees_keep_to_the_documented_range(columns: int, density: float, low: int, high: int) -> None:
    degrees = make("brf", 400, columns, density, r=0.5, degree="uniform").sum(1)
    assert (degrees.min(), degrees.max()) == (low, high)


@pytest.mark.parametrize("r", [0.0, 0.2, 1.0])
def test_brf_multinomial_degrees_are_one_and_links_thrown_at_random(r: float) -> None:
    # k = 10 links an output: 1 + Binomial(18000, 1/2000), nearly 1 + Poisson(9), so mean 10 and variance 9.
    degrees = make("brf", 2000, 100, 0.1, r=r, degree="multinomial").sum(1)
    assert degrees.min() >= 1
    assert degrees.double().var().item() == pytest.approx(9, abs=4 * 9 * (2 / 2000) ** 0.5)
    expected = torch.exp(torch.distributions.Poisson(9.0).log_prob(torch.arange(5.0, 14.0))) * 2000
    counts = degrees.bincount(minlength=100)[6:15]  # 1 + 5 to 1 + 13
    assert ((counts - expected).abs() < 4 * expected.sqrt()).all()


def test_brf_multinomial_spreads_as_the_released_code_does() -> None:
    # 1024 x 1024 at 5%: about 51 links an output, with standard deviations of 7 and of 29.
    spread = {
        d: make("brf", 1024, 1024, 0.05, r=0.1, degree=d).sum(1).double().std() for d in ("multinomial", "uniform")
    }
    assert spread["multinomial"] == pytest.approx(7.1, abs=0.6)
    assert spread["uniform"] == pytest.approx(29, abs=1.5)


@pytest.mark.parametrize(
    ("rows", "columns", "links", "expected"),
    [
        (3, 2, 6, [2, 2, 2]),
        (4, 5, 4, [1, 1, 1, 1]),
        (2, 3, 5, [2, 3]),
    ],  # full, one each, and 1 + 1 + 3 thrown on room of 2
)
def test_brf_multinomial_degrees_at_their_limits(rows: int, columns: int, links: int, expected: list[int]) -> None:
    for seed in range(10):
        degrees = make("brf", rows, columns, links / (rows * columns), seed, r=0.5, degree="multinomial").sum(1)
        assert sorted(degrees.tolist()) == expected


def test_brf_multinomial_of_fewer_links_than_outputs() -> None:
    # Three links on ten outputs: in 10 * 9 * 8 of 1000 cases on three of them.
    drawn = [make("brf", 10, 10, 0.03, seed, r=0.5, degree="multinomial").sum(1) for seed in range(1000)]
    apart = sum(int(degrees.max()) == 1 for degrees in drawn) / 1000
    assert apart == pytest.approx(0.72, abs=4 * (0.72 * 0.28 / 1000) ** 0.5)


def test_brf_grows_wider_with_r() -> None:
    distance = ring_distance(80, 120)
    means = [distance[make("brf", 80, 120, 0.08, r=r)].mean().item() for r in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    assert means == sorted(means)
    assert means[0] == pytest.approx(2.5, abs=0.3)  # the ten nearest: about 0, 1, 1, 2, 2, .., 5
    assert means[-1] == pytest.approx(30, abs=1.5)  # uniform on a ring of 120


def test_brf_without_randomness_takes_the_nearest_inputs() -> None:
    # Four outputs stand at 0, 2, 4, 6 on a ring of eight inputs; of two as near, the one ahead is taken.
    nearest = [[7, 0, 1, 2], [1, 2, 3, 4], [3, 4, 5, 6], [5, 6, 7, 0]]
    mask = make("brf", 4, 8, 0.5, r=0.0)
    assert [set(row.nonzero().flatten().tolist()) for row in mask] == [set(row) for row in nearest]


@pytest.mark.parametrize(("rows", "columns"), [(30, 50), (50, 30), (17, 17)])
def test_a_tiny_r_is_the_limit_of_none(rows: int, columns: int) -> None:
    distance = ring_distance(rows, columns)
    limit, tiny = make("brf", rows, columns, 0.2, r=0.0), make("brf", rows, columns, 0.2, r=1e-320)
    assert torch.equal(limit.sum(1), tiny.sum(1))
    torch.testing.assert_close((distance * tiny).sum(1), (distance * limit).sum(1))


def test_brf_weights_fall_with_distance_as_stated() -> None:
    # One link an output: P(d) is exactly (1 + d)^(-(1 - r) / r) normalised. r = 0.4 has the exponent 1.5.
    columns, draws = 9, 4000
    counts = sum(make("brf", columns, columns, 1 / columns, seed, r=0.4).long() for seed in range(draws))
    weights = (1 + ring_distance(columns, columns).double()) ** -1.5
    expected = weights / weights.sum(1, keepdim=True)
    error = (expected * (1 - expected) / draws).sqrt()
    assert ((torch.as_tensor(counts) / draws - expected).abs() < 4.5 * error).all()


def test_brf_with_full_randomness_is_uniform() -> None:
    draws = 3000
    counts = sum(make("brf", 5, 8, 0.25, seed, r=1.0).long() for seed in range(draws))
    chi_square = ((torch.as_tensor(counts) - draws / 4).square() / (draws / 4 * 3 / 4)).sum()
    assert chi_square < 70  # 40 cells in 5 rows of fixed sums: mean 40, standard deviation about 9


def test_brf_runs_in_chunks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make("brf", 33, 21, 0.2, r=0.0, degree="uniform")
    monkeypatch.setattr("chtexp.topology.receptive_field._CHUNK_OF_PAIRS", 50)
    assert torch.equal(make("brf", 33, 21, 0.2, r=0.0, degree="uniform"), whole)


# ---- small world


@pytest.mark.parametrize(("rows", "columns", "density"), [(30, 50, 0.1), (50, 30, 0.13), (9, 9, 1.0)])
def test_bsw_without_rewiring_is_brf_without_randomness(rows: int, columns: int, density: float) -> None:
    lattice = make("bsw", rows, columns, density, seed=1, beta=0.0)
    assert torch.equal(lattice, make("brf", rows, columns, density, seed=2, r=0.0, degree="fixed"))


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0])
def test_bsw_rewires_the_share_beta(beta: float) -> None:
    lattice, rewired = make("bsw", 100, 150, 0.1, beta=0.0), make("bsw", 100, 150, 0.1, beta=beta)
    moved = (lattice & ~rewired).sum().item()
    assert moved == pytest.approx(beta * 1500, abs=4 * (1500 * beta * (1 - beta)) ** 0.5)
    arrived = ring_distance(100, 150)[rewired & ~lattice]
    assert arrived.mean().item() == pytest.approx(41, abs=3.5)  # uniform between 7.5 and 75


# ---- scale free


def test_bsf_has_a_heavy_tail_on_both_sides() -> None:
    scale_free, uniform = make("bsf", 600, 600, 0.01), make("er", 600, 600, 0.01)
    for side in (0, 1):
        assert scale_free.sum(side).max() > 2.5 * uniform.sum(side).max()
        assert scale_free.sum(side).float().var() > 4 * uniform.sum(side).float().var()
        assert scale_free.sum(side).min() >= 1


def test_bsf_growth_attaches_in_proportion_to_degree() -> None:
    # With m links an arrival, Barabasi-Albert degrees follow P(k) = 2m(m+1) / (k(k+1)(k+2)).
    nodes, links = 4000, 2 * 4000 - 3
    rng = random.default_rng(0)
    brought = _attachments(nodes, links, rng)
    assert brought.tolist() == [0, 1] + [2] * (nodes - 2)
    graph = _grow(brought, links, rng)
    assert (graph[:, 0] > graph[:, 1]).all()
    assert len(set(map(tuple, graph.tolist()))) == links, "no link twice"
    degrees = bincount(graph.ravel())
    for k in (2, 3, 4, 5):
        assert (degrees == k).mean() == pytest.approx(12 / (k * (k + 1) * (k + 2)), rel=0.1)
    assert degrees.max() > 60


def test_bsf_rewiring_keeps_every_degree_when_the_sides_balance() -> None:
    # Rows 0..4, columns 5..9: two links inside the rows, two inside the columns, four across.
    graph = array([[0, 1], [0, 2], [5, 6], [5, 7], [0, 5], [3, 5], [4, 8], [1, 9]])
    degrees = bincount(graph.ravel(), minlength=10).tolist()
    for seed in range(50):
        mask = _across(graph, 5, 5, random.default_rng(seed))
        assert mask.sum() == 8
        assert mask.sum(1).tolist() + mask.sum(0).tolist() == degrees


def test_bsf_rewiring_changes_as_many_degrees_as_there_are_surplus_links() -> None:
    # Rows 0..3, columns 4..9: one link inside the rows, three inside the columns, two across: surplus 2.
    graph = array([[0, 1], [4, 5], [6, 7], [8, 9], [2, 4], [3, 6]])
    degrees = bincount(graph.ravel(), minlength=10)
    for seed in range(50):
        mask = _across(graph, 4, 6, random.default_rng(seed))
        assert mask.sum() == 6
        gained, lost = mask.sum(1) - degrees[:4], degrees[4:] - mask.sum(0)
        assert gained.min() >= 0
        assert lost.min() >= 0
        assert gained.sum() == lost.sum() == 2


@pytest.mark.parametrize(("rows", "columns"), [(300, 300), (200, 500), (500, 200)])
def test_bsf_keeps_degrees_but_for_the_surplus_at_scale(rows: int, columns: int) -> None:
    rng = random.default_rng(0)
    links = rows * columns // 20
    graph = rng.permutation(rows + columns)[_grow(_attachments(rows + columns, links, rng), links, rng)]
    rows_in_link = (graph < rows).sum(1)
    surplus = abs((rows_in_link == 2).sum() - (rows_in_link == 0).sum())
    mask = _across(graph, rows, columns, rng)
    changes = [*mask.sum(1), *mask.sum(0)] - bincount(graph.ravel(), minlength=rows + columns)
    assert mask.sum() == links, "every link found its place by exchange alone"
    assert abs(changes[:rows].sum()) == abs(changes[rows:].sum()) == surplus
    assert abs(changes).sum() == 2 * surplus


def test_bsf_equal_partition_levels_the_inputs_and_keeps_the_outputs() -> None:
    plain, level = make("bsf", 90, 120, 0.07), make("bsf", 90, 120, 0.07, equal_partition=True)
    assert plain.sum(0).max() - plain.sum(0).min() > 5
    assert level.sum(0).max() - level.sum(0).min() <= 1
    assert torch.equal(level.sum(1), plain.sum(1))


def test_bsf_rigid_resort_matches_the_ranks() -> None:
    previous = make("bsf", 120, 80, 0.05, seed=3).sum(1)
    plain = make("bsf", 70, 120, 0.05, seed=4)
    rigid = make("bsf", 70, 120, 0.05, seed=4, resort="rigid", previous_output_degrees=previous)
    by_previous_rank = rigid.sum(0)[previous.argsort(descending=True, stable=True)]
    assert torch.equal(by_previous_rank, plain.sum(0).sort(descending=True).values)
    assert sorted(map(tuple, rigid.T.tolist())) == sorted(map(tuple, plain.T.tolist())), "columns only move"


def test_bsf_soft_resort_lies_between_none_and_rigid() -> None:
    previous = make("bsf", 300, 80, 0.05, seed=3).sum(1)

    def agreement(resort: str) -> float:
        mask = make("bsf", 100, 300, 0.08, 4, resort=resort, previous_output_degrees=previous)
        assert mask.sum() == link_budget(100, 300, 0.08)
        ranks = torch.stack([previous, mask.sum(0)]).argsort(1).argsort(1).double()
        return torch.corrcoef(ranks)[0, 1].item()

    assert abs(agreement("none")) < 0.2
    assert 0.2 < agreement("soft") < 0.9
    assert agreement("rigid") > 0.9


def test_bsf_resort_leaves_a_first_layer_alone() -> None:
    assert torch.equal(make("bsf", 20, 30, 0.2, resort="rigid"), make("bsf", 20, 30, 0.2))


# ---- correlation


def test_feature_correlation_is_the_absolute_pearson_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chtexp.topology.correlation._SAMPLES_AT_ONCE", 64)
    monkeypatch.setattr("chtexp.topology.correlation._FEATURES_AT_ONCE", 5)
    features = torch.randn(300, 12, generator=seeded()) @ torch.randn(12, 12, generator=seeded(1))
    features = features * torch.logspace(-6, 6, 12) + torch.linspace(-5, 5, 12)
    features[:, 4] = 7.3
    features[:, 8] = -2 * features[:, 2] + 1
    expected = torch.corrcoef(features.double().T).abs().fill_diagonal_(0).nan_to_num(0).float()
    found = feature_correlation(features)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert torch.equal(found, found.T)
    assert not found[4].any()
    assert found[2, 8] > 0.99


def test_feature_correlation_takes_pixels() -> None:
    pixels = torch.randint(0, 256, (100, 9), dtype=torch.uint8, generator=seeded())
    torch.testing.assert_close(feature_correlation(pixels), feature_correlation(pixels.double()))


@pytest.mark.parametrize(("rows", "columns"), [(7, 7), (16, 7), (10, 16), (3, 5)])
def test_csti_links_the_largest_correlations(rows: int, columns: int) -> None:
    mask = make("csti", rows, columns, 0.3, correlation=CORRELATION)
    tiled = torch.tensor([[CORRELATION[o % 7, i % 7] for i in range(columns)] for o in range(rows)])
    assert tiled[mask].min() >= tiled[~mask].max()
    for feature in range(min(rows, columns)):
        assert not mask[feature, feature], "the diagonal does not count"


def test_csti_breaks_ties_by_position() -> None:
    mask = make("csti", 2, 4, 0.5, correlation=torch.tensor([[0.0, 0.5], [0.5, 0.0]]))
    assert mask.tolist() == [[False, True, False, True], [True, False, True, False]]
    mask = make("csti", 2, 4, 0.75, correlation=torch.tensor([[0.0, 0.5], [0.5, 0.0]]))
    assert mask.tolist() == [[True, True, True, True], [True, False, True, False]]


# ---- bad values


@pytest.mark.parametrize("density", [0, -0.1, 1.1, float("nan")])
def test_bad_densities_are_named(density: float) -> None:
    with pytest.raises(UserError, match=r"density must be in \(0, 1\]"):
        link_budget(10, 10, density)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("erdos", {}, "unknown topology 'erdos'"),
        ("er", {"r": 0.1}, "'er' takes no 'r'; it takes: no parameters"),
        ("brf", {"r": 0.1, "beta": 1}, "'brf' takes no 'beta'; it takes: r, degree"),
        ("brf", {}, "'brf' needs 'r'"),
        ("brf", {"r": 1.5}, r"brf r must be a number in \[0, 1\], got 1.5"),
        ("brf", {"r": 0.5, "degree": "unifrom"}, "did you mean 'uniform'"),
        ("brf", {"r": "abc"}, "brf r must be a number"),
        ("bsw", {"beta": -1}, r"bsw beta must be a number in \[0, 1\], got -1"),
        ("bsf", {"resort": "hard"}, "unknown bsf resort 'hard'"),
        (
            "bsf",
            {"resort": "soft", "previous_output_degrees": torch.ones(4)},
            r"must be a tensor \[I\] = \[8\], got \[4\]",
        ),
        ("bsf", {"resort": "soft", "previous_output_degrees": [1] * 8}, "must be a tensor .* got list"),
        ("csti", {"correlation": torch.rand(3, 4)}, r"square tensor \[F, F\], got \[3, 4\]"),
        ("csti", {"correlation": None}, "got NoneType"),
        ("csti", {"correlation": torch.full((2, 2), torch.nan)}, "NaN or infinite"),
    ],
)
def test_bad_parameters_are_named(name: str, params: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(name, 6, 8, 0.5, **params)


def test_an_empty_budget_says_what_to_do() -> None:
    with pytest.raises(UserError, match="without any link; widen the layer or raise the density"):
        make("er", 3, 3, 0.01)
    with pytest.raises(UserError, match="at least 1 output"):
        link_budget(0, 3, 0.5)


def test_bad_features_are_named() -> None:
    with pytest.raises(UserError, match="N >= 2"):
        feature_correlation(torch.ones(1, 3))
    with pytest.raises(UserError, match="NaN or infinite"):
        feature_correlation(torch.tensor([[0.0, torch.nan], [1.0, 2.0]]))


def test_the_registry_is_listed() -> None:
    assert set(topology_names()) == {name for name, _ in VARIANTS}
