"""`stillhouse serve`: the champion of a task behind HTTP, for many clients at once, from one version to the next."""
