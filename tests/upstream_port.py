"""Upstream's model and what it is given, before it runs: what bugs are planted into.

Only modules of transformers and the arrays that are handed to them are changed, never the reference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from qwen25vl.config import Config
from qwen25vl.inputs import Inputs


@dataclass
class Port:
    """One copy of upstream's model, and a prompt as a porter's own preprocessing hands it over."""

    model: Any
    inputs: Inputs
    config: Config
    patch: pytest.MonkeyPatch
    """Takes back what is changed in upstream's modules."""

    @property
    def torch(self) -> Any:
        import oracle

        return oracle.torch

    @property
    def upstream(self) -> Any:
        """The module that holds upstream's model."""
        import oracle

        return oracle.upstream

    @property
    def visual(self) -> Any:
        return self.model.model.visual

    @property
    def decoder(self) -> Any:
        return self.model.model.language_model

    @property
    def ids(self) -> Any:
        """[L], as a tensor."""
        return self.torch.from_numpy(self.inputs.ids[0].copy())

    @property
    def pads(self) -> Any:
        """[L] whether a token is the pad of a picture or clip."""
        return (self.ids == self.config.image_token_id) | (self.ids == self.config.video_token_id)

    def exchange(self, name: str, by: Callable[[Any], Any]) -> None:
        """Exchange a function of upstream's module: `by` is given the right one."""
        self.patch.setattr(self.upstream, name, by(getattr(self.upstream, name)))

    def run_as(self, name: str, forward: Callable[..., Any]) -> None:
        """Give a class of upstream's module another forward."""
        self.patch.setattr(getattr(self.upstream, name), "forward", forward)

    def call(self, name: str, function: Callable[..., Any], module: Any = None) -> None:
        """Let a module of upstream call another function where it calls torch's."""
        right = self.torch

        class Other:
            def __getattr__(self, wanted: str) -> Any:
                return function if wanted == name else getattr(right, wanted)

        self.patch.setattr(self.upstream if module is None else module, "torch", Other())

    def fill(self, parameter: Any, value: Any) -> None:
        """Put other numbers into a parameter."""
        with self.torch.no_grad():
            parameter.copy_(value)

    def embed(self, change: Callable[[Any], Any]) -> None:
        """Change the rows [L, E] that the decoder is given; every row is a copy."""

        def hook(module: Any, args: Any, kwargs: Any) -> Any:
            rows = change(kwargs["inputs_embeds"][0].clone())
            return args, {**kwargs, "inputs_embeds": rows[None]}

        self.decoder.register_forward_pre_hook(hook, with_kwargs=True)


Plant = Callable[[Port], None]
"""Makes upstream wrong in one way."""


def both(*plants: Plant) -> Plant:
    """Plant several."""

    def plant(port: Port) -> None:
        for one in plants:
            one(port)

    return plant
