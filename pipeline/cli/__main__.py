"""`python -m pipeline.cli` is `stillhouse`."""

from pipeline.cli import app

app(prog_name="stillhouse")
