"""Model-predictive control: plan a little ahead with a model, do the first action, and plan again.

The plan is found by the cross-entropy method: draw sequences of actions, keep the best, draw around these (Rubinstein
and Kroese, The Cross-Entropy Method, 2004; as a planner with learned models: Chua et al., Deep Reinforcement Learning
in a Handful of Trials, NeurIPS 2018, section 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from acclimate.errors import SettingsError
from acclimate.robots.robot import Actions, Reward
from acclimate.settings import within

Step = Callable[[Tensor, Tensor, Tensor], Tensor]
"""States ``[n, s]``, actions ``[n, a]`` and earlier actions ``[n, history * a]`` to the next states ``[n, s]``."""
MIXED = 0.1
"""Share of chance that discrete plans keep, so that no action is given up for good."""


@dataclass(frozen=True)
class Planner:
    """Settings of the cross-entropy method.

    Helps where a model is good for some steps and rewards lie within them. **Hurts** where the reward is further away
    than the horizon, and where a model is wrong in a way that a plan can exploit.

    Attributes:
        horizon: steps that are planned ahead.
        samples: sequences of actions in a round.
        elites: of these the best, around which the next round draws.
        rounds: how often.
    """

    horizon: int = 20
    samples: int = 128
    elites: int = 16
    rounds: int = 3

    ranges: ClassVar[dict[str, str]] = dict.fromkeys(("horizon", "samples", "elites", "rounds"), "[1, inf)")

    def __post_init__(self) -> None:
        within(self, **self.ranges)
        if self.elites > self.samples:
            raise SettingsError(f"planner.elites are some of the samples: found {self.elites} of {self.samples}")

    def plan(
        self,
        step: Step,
        reward: Reward,
        actions: Actions,
        state: Tensor,
        earlier: Tensor,
        guess: Tensor | None,
        seed: int,
    ) -> Tensor:
        """The plan ``[horizon, a]``, as a model reads actions; of discrete ones how likely each is.

        Args:
            step: the model.
            reward: what is maximised.
            actions: what the robot can do.
            state: it is in, ``[s]``.
            earlier: actions, newest first, ``[history * a]``.
            guess: the last plan, from which this one begins a step later.
            seed: all draws follow from it.
        """
        with torch.inference_mode():
            search: _Normal | _Categorical = (_Categorical if actions.count else _Normal)(actions, self.horizon)
            search.begin(guess)
            random = torch.Generator().manual_seed(seed)
            for _ in range(self.rounds):
                tried = search.draw(self.samples, random)
                total = returns(step, reward, tried, state, earlier)
                search.fit(tried[total.topk(self.elites).indices])
            return search.middle


def returns(step: Step, reward: Reward, tried: Tensor, state: Tensor, earlier: Tensor) -> Tensor:
    """What a model expects of sequences of actions ``[n, horizon, a]``: summed rewards ``[n]``, -inf for no number."""
    count, horizon, size = tried.shape
    states, back = state.expand(count, -1), earlier.expand(count, -1)
    total = torch.zeros(count)
    for k in range(horizon):
        action = tried[:, k]
        states = step(states, action, back)
        total = total + reward(states, action)
        back = torch.cat([action, back[:, :-size]], dim=1) if back.shape[1] else back
    return total.nan_to_num(nan=-torch.inf, posinf=-torch.inf)


class _Normal:
    """Continuous actions: a normal distribution for each number of each step, cut off at the bounds."""

    def __init__(self, actions: Actions, horizon: int):
        self.low, self.high = torch.tensor(actions.low), torch.tensor(actions.high)
        self.middle = ((self.low + self.high) / 2).expand(horizon, -1)
        self.spread = ((self.high - self.low) / 2).expand(horizon, -1)

    def begin(self, guess: Tensor | None) -> None:
        if guess is not None:
            self.middle = torch.cat([guess[1:], self.middle[-1:]])

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        noise = torch.randn(count, *self.middle.shape, generator=random)
        return (self.middle + noise * self.spread).clamp(self.low, self.high)

    def fit(self, elites: Tensor) -> None:
        self.middle, self.spread = elites.mean(0), elites.std(0, correction=0)


class _Categorical:
    """Discrete actions: how likely each is in each step."""

    def __init__(self, actions: Actions, horizon: int):
        self.count = actions.count
        self.middle = torch.full((horizon, self.count), 1 / self.count)

    def begin(self, guess: Tensor | None) -> None:
        if guess is not None:
            later = torch.cat([guess[1:], self.middle[-1:]])
            self.middle = (later + self.middle) / 2

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        drawn = torch.multinomial(self.middle, count, replacement=True, generator=random)
        return F.one_hot(drawn.T, self.count).float()

    def fit(self, elites: Tensor) -> None:
        self.middle = (1 - MIXED) * elites.mean(0) + MIXED / self.count
