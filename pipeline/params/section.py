"""What every section of params.yaml is: frozen, complete and strict; and the kinds of value that several of them hold.

The text under a key is its description in docs/parameters.md.
"""

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A mapping of params.yaml: frozen, no unknown keys, numbers are numbers and text is text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _staying_inside(path: str) -> str:
    if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"must be a relative path without .., got {path!r}")
    return path


def _fit_for_a_command(path: str) -> str:
    # dvc.yaml puts it into the command of a stage, which a shell reads
    if not re.fullmatch(r"[\w.@][\w./@+=,-]*", path):
        raise ValueError(f"must be of letters, digits and . _ / @ + = , - only, got {path!r}")
    return path


Share = Annotated[float, Field(ge=0, le=1)]
Label = Annotated[str, Field(min_length=1)]
Marker = Annotated[str, Field(pattern=r"^\S+$")]
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
InsidePath = Annotated[str, AfterValidator(_staying_inside), Field(json_schema_extra={"format": "relative path"})]
ProjectPath = Annotated[
    str,
    AfterValidator(_staying_inside),
    AfterValidator(_fit_for_a_command),
    Field(json_schema_extra={"format": "path inside the project of letters, digits and `._/@+=,-`"}),
]
Package = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", json_schema_extra={"format": "name of a package"}),
]
# no path: what looks like one, the hub's libraries look for in the project's folder first
HubName = Annotated[
    str,
    Field(
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*$",
        json_schema_extra={"format": "name on the hub"},
    ),
]
# no `@` and `?`, with which credentials would come
StorageUrl = Annotated[
    str,
    Field(
        pattern=r"^(s3://|file:///)[A-Za-z0-9._-][A-Za-z0-9._/=-]*[A-Za-z0-9._=-]$",
        json_schema_extra={"format": "`s3://BUCKET/FOLDER` or `file:///FOLDER`"},
    ),
]
