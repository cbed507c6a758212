"""The one exception that means 'the user's input is wrong', and how a terminal shows it."""


def one_line(text: object) -> str:
    """`text` on one line that a terminal may show: blanks for control signs."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


class InputError(ValueError):
    """One line that names the file, field or value and the remedy; the commands exit 2 on it."""


class ParityError(RuntimeError):
    """An exported file that does not compute what the Detector does: a defect, not the user's."""
