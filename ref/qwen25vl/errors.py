"""The one error that means: the input is bad, and here is what to do about it."""


class BadInput(ValueError):
    """A file, an argument or a message cannot be used.

    The text is one sentence (or a list under one sentence) that names the value, what was expected
    and what to do. The command line prints it without a traceback and exits with 2.
    """


class NotAVideo(BadInput):
    """A file holds no video at all; one that is damaged, or too short for the request, is another matter."""
