"""Calibrated probabilities as text."""


def probability_text(probability: float, digits: int = 1) -> str:
    """Write a probability in percent, such as `97.3 %`; never as certain or impossible.

    Where rounding would give 100 or 0 it is `>99.9 %` or `<0.1 %`.
    """
    percent, step = round(100 * probability, digits), 10.0**-digits
    if percent >= 100:
        return f">{100 - step:.{digits}f} %"
    if percent <= 0:
        return f"<{step:.{digits}f} %"
    return f"{percent:.{digits}f} %"
