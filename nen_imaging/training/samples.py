"""One deterministic sample per training step."""

from __future__ import annotations

from typing import Any

import numpy as np

from nen_imaging.training.augment import Variant, draw_patch, make_variant
from nen_imaging.training.cases import Case
from nen_imaging.training.data import NetworkName
from nen_imaging.training.recipes import NetworkRecipe, Recipe
from nen_imaging.training.transplant import lesions_of

_IN_TURN = 6  # variants in memory


class StepSamples:
    """A map from training step to sample: a pure function of seed and step, so a resumed run sees the same data.

    Several steps draw their patches from the same synthetic variant of a case, which is costly to make; steps in a
    row draw from different ones, lest the network follows one case. A torch DataLoader takes it as a dataset.

    Of ``count`` processes that train together, the one of this ``rank`` draws every count-th block of steps: together
    they draw in n steps what a process by itself draws in count x n (how hard the lesions are goes by the step).
    """

    def __init__(self, cases: list[Case], recipe: Recipe, network: NetworkName, rank: int = 0, count: int = 1) -> None:
        self.cases = cases
        self.recipe = recipe
        self.network = network
        self.rank = rank
        self.count = count
        weights = np.array([case.weight * (2.0 if case.has_lesions else 1.0) for case in cases])
        self._chances = weights / weights.sum()
        self._donors = [lesions for case in cases if not case.painted and (lesions := lesions_of(case))]
        self._variants: dict[int, Variant] = {}

    def __len__(self) -> int:
        return self._network_recipe.steps

    def __getitem__(self, step: int) -> dict[str, Any]:
        """Input (channels, i, j, k), target (2, i, j, k) of liver with lesions and lesions, and voxel weights."""
        block, place = divmod(step, self._block)
        drawn = (block * self.count + self.rank) * self._block + place
        rng = np.random.default_rng([self.recipe.seed, self.network == "lesion", drawn, 1])
        variant = self._variant_of(block, place)
        return draw_patch(variant, self._network_recipe, self.recipe.scaling, rng, with_prior=self.network == "lesion")

    @property
    def _network_recipe(self) -> NetworkRecipe:
        return self.recipe.liver if self.network == "liver" else self.recipe.lesion

    @property
    def _block(self) -> int:
        """Steps after which the variants in memory have given all their patches."""
        return _IN_TURN * self._network_recipe.patches_per_variant

    def _variant_of(self, block: int, place: int) -> Variant:
        """Variants serve in turn, `_IN_TURN` at a time, until each has given its patches."""
        first = (block * self.count + self.rank) * _IN_TURN
        number = first + place % _IN_TURN
        if number not in self._variants:
            self._variants = {known: v for known, v in self._variants.items() if known >= first}
            rng = np.random.default_rng([self.recipe.seed, self.network == "lesion", number, 0])
            case = self.cases[int(rng.choice(len(self.cases), p=self._chances))]
            begun = block * self._block + place % _IN_TURN * self._network_recipe.patches_per_variant
            hardness = self._network_recipe.hardness(begun)
            self._variants[number] = make_variant(case, self.recipe.lesions.at(hardness), rng, self._donors)
        return self._variants[number]
