"""The section `tasks.T.generation`: how a model that writes text finds what to write."""

from typing import Annotated

from pydantic import Field, model_validator

from pipeline.params.section import Section


class GenerationParams(Section):
    """How text is written: the likeliest by beam search, or a sample of what the model holds for likely."""

    max_tokens: Annotated[int, Field(ge=1)]
    """Maximum number of tokens to write."""
    beams: Annotated[int, Field(ge=1)]
    """Number of beginnings that the search keeps at each token; 1 takes the likeliest token each time."""
    length_penalty: float
    """Exponent of the length that a beam's log-probability is divided by: > 0 favours longer texts, 0 does nothing."""
    temperature: Annotated[float, Field(ge=0)]
    """Divides the logits before a token is drawn; 0 draws nothing and searches for the likeliest text."""
    top_p: Annotated[float, Field(gt=0, le=1)]
    """Tokens are drawn from the likeliest ones that together have this probability (nucleus sampling)."""

    @model_validator(mode="after")
    def _searched_or_drawn(self) -> "GenerationParams":
        if self.temperature and self.beams > 1:
            raise ValueError(f"beams must be 1 where temperature is > 0, got {self.beams}: a text is drawn or searched")
        if not self.temperature and self.top_p != 1:
            raise ValueError(f"top_p must be 1 where temperature is 0, got {self.top_p}: nothing is drawn")
        return self
