"""Cannistraci-Hebb scores against an oracle that walks the paths in plain sets, from the definition."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from chtexp.errors import UserError
from chtexp.topology import CH_RULES, ch_scores
from chtexp.topology.link_prediction import _dense_node_scores, _lists_are_faster, _torch_path_scores
from chtexp.topology.neighbours import degrees, links, neighbours
from chtexp.topology.nodes import node_scores
from chtexp.topology.paths import chunked_path_scores, path_scores
from chtexp.topology.weights import FORMULAS, RULES

NODE_WEIGHT = {
    "ch2": lambda i, e: (1 + i) / (1 + e),
    "ch3": lambda _, e: 1 / (1 + e),
    "ch3_1": lambda i, e: 1 / (1 / (1 + i) + e),
}
PATH_FACTOR = {
    "ch2": lambda i, e: math.sqrt(1 + i) / math.sqrt(1 + e),
    "ch3": lambda _, e: 1 / math.sqrt(1 + e),
    "ch3_1": lambda i, e: 1 / math.sqrt(1 / (1 + i) + e),
}


def oracle(mask: Tensor, rule: str) -> Tensor:
    """Enumerate every path u - z1 - z2 - v; count the links of z into and out of the community as sets."""
    name, kind = rule.rsplit("_", 1)
    rows, columns = mask.shape
    links = {(u, v) for u in range(rows) for v in range(columns) if mask[u, v]}
    of_row = {u: {v for v in range(columns) if (u, v) in links} for u in range(rows)}
    of_column = {v: {u for u in range(rows) if (u, v) in links} for v in range(columns)}
    scores = torch.zeros(rows, columns)
    for u in range(rows):
        for v in range(columns):
            if (u, v) in links:
                continue
            paths = [(z1, z2) for z1 in of_row[u] for z2 in of_column[z1] if z2 != u and z1 != v and v in of_row[z2]]
            community_of_columns = {z1 for z1, _ in paths}
            community_of_rows = {z2 for _, z2 in paths}

            def counts(neighbours: set[int], community: set[int], end: int) -> tuple[int, int]:
                return len(neighbours & community), len(neighbours - community - {end})

            column_counts = {z1: counts(of_column[z1], community_of_rows, u) for z1 in community_of_columns}
            row_counts = {z2: counts(of_row[z2], community_of_columns, v) for z2 in community_of_rows}
            if kind == "l3n":
                nodes = [*column_counts.values(), *row_counts.values()]
                scores[u, v] = sum(NODE_WEIGHT[name](i, e) for i, e in nodes)
            else:
                factor = PATH_FACTOR[name]
                scores[u, v] = sum(factor(*column_counts[z1]) * factor(*row_counts[z2]) for z1, z2 in paths)
    return scores


@st.composite
def masks(draw: st.DrawFn, largest: int = 9) -> Tensor:
    rows, columns = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    bits = draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    return torch.tensor(bits, dtype=torch.bool).view(rows, columns)


def random_mask(rows: int, columns: int, density: float, seed: int) -> Tensor:
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) < density


@pytest.mark.parametrize("rule", CH_RULES)
@given(mask=masks())
@settings(max_examples=60, deadline=None)
def test_scores_equal_the_definition(rule: str, mask: Tensor) -> None:
    torch.testing.assert_close(ch_scores(mask, rule), oracle(mask, rule), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", CH_RULES)
@pytest.mark.parametrize(("rows", "columns", "density"), [(14, 9, 0.3), (8, 17, 0.25), (12, 12, 0.6)])
def test_scores_equal_the_definition_on_larger_graphs(rule: str, rows: int, columns: int, density: float) -> None:
    mask = random_mask(rows, columns, density, seed=rows)
    expected = oracle(mask, rule)
    assert expected.count_nonzero() > 5
    torch.testing.assert_close(ch_scores(mask, rule), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", CH_RULES)
@pytest.mark.parametrize(
    "mask",
    [
        torch.zeros(4, 6, dtype=torch.bool),
        torch.ones(5, 3, dtype=torch.bool),
        torch.eye(5, dtype=torch.bool),
        torch.tensor([[True]]),
        torch.tensor([[True, False, True]]),
    ],
    ids=["empty", "full", "matching", "one link", "one row"],
)
def test_graphs_without_open_paths_score_zero(rule: str, mask: Tensor) -> None:
    assert torch.equal(ch_scores(mask, rule), torch.zeros(mask.shape))


def test_one_path_by_hand() -> None:
    # Rows a b c, columns 0 1 2 3; links a-0, b-0, b-1, b-2, c-0.
    # The pair (a, 1) has one path: a - 0 - b - 1, so its community is {0, b}.
    #   column 0: links a, b, c: into the community b (i = 1), to u = a no count, elsewhere c (e = 1)
    #   row b: links 0, 1, 2: into the community 0 (i = 1), to v = 1 no count, elsewhere 2 (e = 1)
    # ch2_l3n   = (1+1)/(1+1) + (1+1)/(1+1)             = 2
    # ch3_l3n   = 1/(1+1) + 1/(1+1)                     = 1
    # ch3_1_l3n = 2 * 1 / (1/(1+1) + 1) = 2 / 1.5       = 4/3
    # ch2_l3p   = sqrt(2 * 2) / sqrt(2 * 2)             = 1
    # ch3_l3p   = 1 / sqrt(2 * 2)                       = 1/2
    # ch3_1_l3p = 1 / sqrt(1.5 * 1.5)                   = 2/3
    mask = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]], dtype=torch.bool)
    by_hand = {
        "ch2_l3n": 2,
        "ch3_l3n": 1,
        "ch3_1_l3n": 4 / 3,
        "ch2_l3p": 1,
        "ch3_l3p": 1 / 2,
        "ch3_1_l3p": 2 / 3,
    }
    assert set(by_hand) == set(CH_RULES)
    for rule, expected in by_hand.items():
        scores = ch_scores(mask, rule)
        assert scores[0, 1].item() == pytest.approx(expected, rel=1e-6), rule
        assert scores[0, 3] == 0, "column 3 has no link, hence no path"
        assert not scores[mask].any()


def test_two_paths_by_hand() -> None:
    # Rows a b c, columns 0 1 2; links a-0, a-1, b-0, b-1, b-2, c-1, c-2. The pair (a, 2) has the paths
    # a-0-b-2, a-1-b-2, a-1-c-2: community {0, 1} and {b, c}; nothing leads elsewhere, so every e = 0.
    #   i: column 0 -> b: 1; column 1 -> b, c: 2; row b -> 0, 1: 2; row c -> 1: 1
    # ch2_l3n = 2 + 3 + 3 + 2 = 10;  ch2_l3p = sqrt(2*3) + sqrt(3*3) + sqrt(3*2) = 3 + 2 sqrt 6;  ch3_l3p = 3
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=torch.bool)
    assert ch_scores(mask, "ch2_l3n")[0, 2].item() == pytest.approx(10)
    assert ch_scores(mask, "ch2_l3p")[0, 2].item() == pytest.approx(3 + 2 * math.sqrt(6))
    assert ch_scores(mask, "ch3_l3p")[0, 2].item() == pytest.approx(3)


@pytest.mark.parametrize("rule", CH_RULES)
@given(mask=masks(14))
@settings(max_examples=25, deadline=None)
def test_exchanging_the_sides_transposes_the_scores(rule: str, mask: Tensor) -> None:
    torch.testing.assert_close(ch_scores(mask.T, rule), ch_scores(mask, rule).T)


@pytest.mark.parametrize("rule", CH_RULES)
def test_relabelling_the_neurons_relabels_the_scores(rule: str) -> None:
    mask = random_mask(40, 60, 0.1, seed=3)
    generator = torch.Generator().manual_seed(4)
    rows, columns = torch.randperm(40, generator=generator), torch.randperm(60, generator=generator)
    relabelled = ch_scores(mask[rows][:, columns], rule)
    torch.testing.assert_close(relabelled, ch_scores(mask, rule)[rows][:, columns])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("chunk_of_paths", [1, 500, 1 << 22])
def test_the_torch_walk_equals_the_compiled_one(
    rule: str, chunk_of_paths: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = random_mask(30, 45, 0.08, seed=5)
    monkeypatch.setattr(chunked_path_scores, "__defaults__", (chunk_of_paths,))
    compiled = path_scores(neighbours(mask), RULES.index(rule))
    assert compiled.count_nonzero() > 100
    torch.testing.assert_close(_torch_path_scores(mask, FORMULAS[rule]).masked_fill(mask, 0), compiled)


def test_the_torch_walk_takes_an_empty_graph() -> None:
    empty = torch.zeros(3, 4, dtype=torch.bool)
    assert not chunked_path_scores(empty, torch.zeros(3, 3), torch.ones(4, 4), 10).any()


@pytest.mark.parametrize("rule", RULES)
@given(mask=masks(14))
@settings(max_examples=40, deadline=None)
def test_node_sums_along_lists_equal_products_of_matrices(rule: str, mask: Tensor) -> None:
    dense = _dense_node_scores(mask, FORMULAS[rule]).masked_fill(mask, 0)
    torch.testing.assert_close(node_scores(neighbours(mask), RULES.index(rule)), dense, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("rows", "columns", "hubs"), [(400, 300, 0), (200, 500, 30)])
def test_both_ways_keep_to_the_stated_error(rule: str, rows: int, columns: int, hubs: int) -> None:
    mask = random_mask(rows, columns, 0.04, seed=9)
    mask[:hubs] |= random_mask(hubs, columns, 0.6, seed=10)
    links_OI = mask.double()

    def weights(links_NM: Tensor) -> Tensor:
        internal = links_NM @ links_NM.T
        external = (links_NM.sum(1) - internal - 1).clamp_min(0)
        return FORMULAS[rule](internal, external).masked_fill(internal == 0, 0)

    exact = (weights(links_OI) @ links_OI + links_OI @ weights(links_OI.T).T).masked_fill(mask, 0)
    along_lists = node_scores(neighbours(mask), RULES.index(rule))
    assert ((along_lists - exact).abs() <= 1e-7 * exact).all(), "nothing but the rounding to float32"
    products = _dense_node_scores(mask, FORMULAS[rule]).masked_fill(mask, 0)
    assert ((products - exact).abs() <= 1e-5 * exact).all()


def test_lists_serve_sparse_masks_and_products_dense_ones() -> None:
    def lists_serve(density: float) -> bool:
        return _lists_are_faster(neighbours(random_mask(500, 700, density, seed=11)))

    assert [lists_serve(density) for density in (0.0, 0.01, 0.02, 0.1, 0.5, 1.0)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@given(mask=masks(20))
@settings(max_examples=60, deadline=None)
def test_neighbours_are_those_of_the_mask(mask: Tensor) -> None:
    assert links(mask).tolist() == mask.flatten().nonzero().flatten().tolist()
    row_start, of_row, column_start, of_column = neighbours(mask)
    assert row_start.tolist() == [0, *mask.sum(1).cumsum(0).tolist()]
    assert column_start.tolist() == [0, *mask.sum(0).cumsum(0).tolist()]
    assert of_row.tolist() == mask.nonzero()[:, 1].tolist()
    assert of_column.tolist() == mask.T.nonzero()[:, 1].tolist()
    assert neighbours(mask).shape == mask.shape
    assert [side.tolist() for side in degrees(mask)] == [mask.sum(1).tolist(), mask.sum(0).tolist()]
    assert [side.tolist() for side in degrees(mask.T)] == [mask.sum(0).tolist(), mask.sum(1).tolist()]


def test_links_are_found_at_any_place_in_memory() -> None:
    mask = random_mask(9, 21, 0.3, seed=12)
    for view in (mask.T, mask[1:], mask[:, 3:], mask[2:, ::2], mask[:0]):
        assert links(view).tolist() == view.flatten().nonzero().flatten().tolist()


@pytest.mark.parametrize("rule", ["ch2_l3n", "ch3_l3p"])
def test_the_result_does_not_depend_on_the_number_of_threads(rule: str) -> None:
    mask = random_mask(300, 200, 0.02, seed=7)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 1000):
            torch.set_num_threads(count)
            results.append(ch_scores(mask, rule))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_scores_are_float32_and_leave_the_mask_alone() -> None:
    mask = random_mask(20, 20, 0.2, seed=8)
    before = mask.clone()
    for rule in CH_RULES:
        scores = ch_scores(mask, rule)
        assert scores.dtype == torch.float32
        assert (scores >= 0).all()
    assert torch.equal(mask, before)


def test_bad_values_are_named() -> None:
    mask = torch.ones(2, 2, dtype=torch.bool)
    with pytest.raises(UserError, match=r"ch3_l3q.*did you mean 'ch3_l3[pn]'"):
        ch_scores(mask, "ch3_l3q")
    with pytest.raises(UserError, match=r"bool \[O, I\], got torch.float32"):
        ch_scores(mask.float(), "ch3_l3p")
    with pytest.raises(UserError, match=r"got torch.bool \[2\]"):
        ch_scores(mask[0], "ch3_l3p")


@pytest.mark.parametrize("threads", [1, 2])
def test_compiled_kernels_leave_torchs_threads_alone(threads: int) -> None:
    program = (
        f"import torch; torch.set_num_threads({threads}); from chtexp.topology import ch_scores; "
        "ch_scores(torch.rand(60, 60) < 0.2, 'ch3_l3p'); print(torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == str(threads)
