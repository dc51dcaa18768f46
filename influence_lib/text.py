"""Numbers and times as sentences and labels state them."""

import re

__all__ = ["duration", "typeset"]


def duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours, whichever is short to read.

    Examples
    --------
    >>> duration(0.2), duration(600), duration(7200)
    ('1 s', '10 min', '2.0 h')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def typeset(number: str) -> str:
    """Return a formatted number without the 0 before its point, and with a minus for a hyphen.

    Examples
    --------
    >>> typeset("-0.50"), typeset("12.3")
    ('−.50', '12.3')
    """
    return re.sub(r"^(-?)0\.", r"\1.", number).replace("-", "−")
