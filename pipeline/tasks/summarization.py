"""A shorter text that says what a longer one does (Rush et al. 2015)."""

from pipeline.tasks.writing import WritingTask


class Summarization(WritingTask):
    """A text is read, its summary is written."""

    head = "summarization"
    answer = "summary"
