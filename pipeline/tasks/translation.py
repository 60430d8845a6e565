"""The same text in another language (Sutskever et al. 2014; Vaswani et al. 2017)."""

from pipeline.tasks.writing import WritingTask


class Translation(WritingTask):
    """A text is read, its translation is written."""

    head = "translation"
    answer = "translation"
