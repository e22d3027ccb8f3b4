"""What each token looks at, against the rule spelled out one pair at a time."""

import pytest
import torch

from slangmod.model.sight import ALL_BEFORE, Sight, document_begins, sight_of

CPU = torch.device("cpu")
END = 0


def pairs(sight: Sight, row: int, new: int, seen: int) -> set[tuple[int, int]]:
    """(query, key) by places, all that ``sight`` lets see each other."""
    found = set()
    if sight.block:
        assert sight.visible is not None
        blocks = sight.visible[min(row, len(sight.visible) - 1)]
        for index, query, key in blocks.nonzero().tolist():
            place = (index - 1) * sight.block + key
            if index * sight.block + query < seen:
                found.add((index * sight.block + query, place))
        return found
    kept = seen if sight.kept is None else sight.kept
    for query in range(seen - new, seen):
        for key in range(seen - kept, seen):
            seen_by_mask = key <= query
            if sight.visible is not None:
                visible = sight.visible[min(row, len(sight.visible) - 1), 0]
                place = query - seen + new, key - seen + kept
                seen_by_mask = bool(visible[place])
            if seen_by_mask:
                found.add((query, key))
    return found


def by_rule(
    ids: list[int] | None, window: int | None, new: int, seen: int
) -> set[tuple[int, int]]:
    """The same from the words of the manual."""
    return {
        (query, key)
        for query in range(seen - new, seen)
        for key in range(query + 1)
        if window is None or key > query - window
        if ids is None or END not in ids[key + 1 : query + 1]
    }


SIZES = [(9, 9), (1, 9), (4, 9), (1, 1), (140, 140), (5, 140), (1, 140)]


@pytest.mark.parametrize("window", [None, 1, 2, 5, 9, 65])
@pytest.mark.parametrize(("new", "seen"), SIZES)
@pytest.mark.parametrize("apart", [False, True])
def test_each_token_looks_at_what_the_rule_says(
    window: int | None, new: int, seen: int, apart: bool
) -> None:
    torch.manual_seed(seen)
    ids = torch.randint(7, (2, seen))
    begins = document_begins(ids, END, 0, None)[:, -new:] if apart else None
    sight = sight_of(window, begins, new, seen, CPU)
    for row, own in enumerate(ids.tolist()):
        expected = by_rule(own if apart else None, window, new, seen)
        assert pairs(sight, row, new, seen) == expected


def test_what_restricts_nothing_makes_no_mask() -> None:
    assert sight_of(None, None, 5, 9, CPU) is ALL_BEFORE
    assert sight_of(9, None, 5, 9, CPU) is ALL_BEFORE


def test_a_single_token_needs_no_mask_but_fewer_keys() -> None:
    assert sight_of(3, None, 1, 9, CPU) == Sight(kept=3)


def test_a_short_window_is_cut_into_blocks() -> None:
    sight = sight_of(16, None, 1000, 1000, CPU)
    assert sight.block == 64
    assert sight.visible is not None
    assert sight.visible.shape == (1, 16, 64, 128)
    assert sight_of(64, None, 128, 128, CPU).block == 0


def test_documents_begin_at_the_symbol_that_ends_the_one_before() -> None:
    ids = torch.tensor([[3, 0, 4, 0, 0, 5], [0, 1, 2, 3, 4, 5]])
    begins = document_begins(ids, END, 0, None)
    assert begins.tolist() == [[0, 1, 1, 3, 4, 4], [0, 0, 0, 0, 0, 0]]
    rest = document_begins(ids[:, 3:], END, 3, begins[:, 2:3])
    assert torch.equal(rest, begins[:, 3:])
