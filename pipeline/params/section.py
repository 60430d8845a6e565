"""What every section of params.yaml is: frozen, complete and strict; and the kinds of value that several of them hold.

The text under a key is its description in docs/parameters.md.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A mapping of params.yaml: frozen, no unknown keys, numbers are numbers and text is text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Share = Annotated[float, Field(ge=0, le=1)]
Label = Annotated[str, Field(min_length=1)]
# `format` is what docs/parameters.md says instead of the pattern
Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        json_schema_extra={"format": "name of lower-case letters, digits, `-` and `_`"},
    ),
]
Sha256 = Annotated[
    str, Field(pattern=r"^[0-9a-f]{64}$", json_schema_extra={"format": "64 lower-case hexadecimal digits"})
]
Revision = Annotated[
    str, Field(pattern=r"^[0-9a-f]{40}$", json_schema_extra={"format": "40 lower-case hexadecimal digits"})
]
