"""`stillhouse …`: what people type. Each command's work is a module of this package, imported when it is called."""

from pipeline.cli import project_commands, model_commands, registry_commands  # noqa: I001, F401 in the order of the help
from pipeline.cli.application import app

__all__ = ["app"]
