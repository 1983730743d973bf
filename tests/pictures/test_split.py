"""A split made of names is stratified, disjoint, whole, and the same in whatever order the images are listed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chtexp.errors import UserError
from chtexp.pictures.found import Found, Part
from chtexp.pictures.split import held_out, split_of

labelled = st.dictionaries(st.text(max_size=8), st.integers(0, 3), min_size=1, max_size=60)
fractions = st.floats(0.01, 0.99)


def part(names: list[str], labels: list[int]) -> Part:
    """Images whose only pixel is their position."""
    images = np.arange(len(names), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Part(images, np.array(labels, dtype=np.int64), names)


@given(labelled, fractions, st.randoms())
@settings(deadline=None)
def test_what_is_held_out(of: dict[str, int], fraction: float, random) -> None:
    names, labels = list(of), np.array(list(of.values()))
    held = held_out(names, labels, fraction)
    for label in set(of.values()):
        size, chosen = int((labels == label).sum()), int(held[labels == label].sum())
        assert chosen == min(max(int(fraction * size + 0.5), 1), size - 1)
    shuffled = random.sample(names, len(names))
    again = held_out(shuffled, np.array([of[name] for name in shuffled]), fraction)
    assert {name for name, out in zip(shuffled, again, strict=True) if out} == {
        name for name, out in zip(names, held, strict=True) if out
    }
    smaller = held_out(names, labels, fraction / 2)
    assert not (smaller & ~held).any(), "a smaller fraction holds out a part of what a larger one does"


@given(labelled, fractions, st.randoms())
@settings(deadline=None)
def test_both_sides_are_the_whole_in_one_order(of: dict[str, int], fraction: float, random) -> None:
    classes = sorted(set(of.values()))
    of = {name: classes.index(label) for name, label in of.items()} | {
        f"{label}-{again}-more": label for label in range(len(classes)) for again in (0, 1)
    }
    if len(classes) < 2:
        return

    def sides(names: list[str]) -> list[tuple[list[str], list[int]]]:
        found = Found(part(names, [of[name] for name in names]), None, tuple(map(str, classes)))
        made = split_of(found, fraction)
        for side in made:
            assert [names[int(image)] for image in side.images.ravel()] == list(side.names), "images keep their names"
        return [(list(side.names), side.labels.tolist()) for side in made]

    train, test = sides(list(of))
    assert sorted(train[0] + test[0]) == sorted(of)
    assert all(of[name] == label for names, labels in (train, test) for name, label in zip(names, labels, strict=True))
    assert set(train[1]) == set(test[1]) == set(range(len(classes)))
    assert sides(random.sample(list(of), len(of))) == [train, test]


def test_the_split_is_the_same_for_ever() -> None:
    names = [f"cat/{number}.png" for number in range(10)]
    held = held_out(names, np.zeros(10, dtype=np.int64), 0.3)
    assert [name for name, out in zip(names, held, strict=True) if out] == HELD


HELD = ["cat/0.png", "cat/7.png", "cat/8.png"]  # the smallest of `printf cat/N.png | sha256sum`


def test_the_first_images_are_of_all_classes() -> None:
    names, labels = [f"{number}" for number in range(200)], [0] * 100 + [1] * 100
    found = Found(part(names[:100] + names[100:], labels), part(names, labels), ("a", "b"))
    for side in split_of(found, None):
        assert 15 < side.labels[:50].sum() < 35


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Found(part(["1", "2"], [0, 0]), None, ("a",)), "there is one class ('a')"),
        (Found(part(["1", "2", "3"], [0, 0, 1]), None, ("a", "b")), "class 'b' has one image"),
        (Found(part(["1", "2"], [0, 0]), part(["1"], [1]), ("a", "b")), "class 'b' has no training image"),
    ],
)
def test_what_cannot_be_split(found: Found, said: str) -> None:
    with pytest.raises(UserError, match=said.replace("(", r"\(").replace(")", r"\)")):
        split_of(found, None)


def test_a_fraction_of_what_is_split_already_is_an_error() -> None:
    found = Found(part(["1", "2"], [0, 1]), part(["1"], [1]), ("a", "b"))
    with pytest.raises(UserError, match="these have one: leave it out"):
        split_of(found, 0.2)
