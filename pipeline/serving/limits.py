"""How much one request may ask for, and how many may wait."""

MAX_REQUEST_BYTES = 1_048_576
MAX_ROWS = 128  # of a request
MAX_CHARACTERS = 20_000  # of a text; a pair has as many for itself
MAX_WAITING = 256  # requests that are not yet with the model; one more is told to come back
