"""The one exception that means 'the user's input is wrong'."""


class InputError(ValueError):
    """One line that names the file, field or value and the remedy; the commands exit 2 on it."""


class ParityError(RuntimeError):
    """An exported file that does not compute what the Detector does: a defect, not the user's."""
