"""BPE dropout: words spelled anew each time, with merges skipped at random.

At every step each possible merge is skipped with a probability of ``share``, and the
earliest learnt of the others is made, until none is left (Provilkov, Emelianenko and
Voita 2020, "BPE-Dropout: Simple and Effective Subword Regularization").
"""

from collections.abc import Mapping, Sequence
from random import Random


class Merges:
    """What BPE has learnt, by pairs of ids."""

    def __init__(
        self, vocab: Mapping[str, int], merges: Sequence[Sequence[str]]
    ) -> None:
        self._vocab = vocab
        self._of_pair: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, (left, right) in enumerate(merges):
            pair = vocab[left], vocab[right]
            self._of_pair.setdefault(pair, (rank, vocab[left + right]))

    def spell(self, word: str, share: float, chance: Random) -> list[int]:
        """Ids of ``word``, in byte-level letters, with ``share`` of merges skipped.

        ``chance`` is asked once for each possible merge of each step, from the left.
        """
        ids = [self._vocab[letter] for letter in word]
        while True:
            best: tuple[int, int, int] | None = None
            for place in range(len(ids) - 1):
                merge = self._of_pair.get((ids[place], ids[place + 1]))
                if merge is None or chance.random() < share:
                    continue
                if best is None or merge[0] < best[0]:
                    best = (merge[0], place, merge[1])
            if best is None:
                return ids
            _, place, merged = best
            ids[place : place + 2] = [merged]
