"""Numbers as people read them; a number that does not exist is a dash."""

MISSING = "-"
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def decimals(value: float | None, digits: int) -> str:
    """With so many digits after the point."""
    return MISSING if value is None else f"{value:.{digits}f}"


def compact(count: float | None) -> str:
    """Three significant digits and a unit: 546 M."""
    if count is None:
        return MISSING
    for size, unit in _UNITS:
        # 999.6 M would be written 1000 M.
        if count >= 0.9995 * size:
            return f"{_three_digits(count / size)} {unit}"
    return _three_digits(count)


def percent(fraction: float | None) -> str:
    """A fraction in per cent, with a digit after the point below 10%."""
    if fraction is None:
        return MISSING
    shown = 100 * fraction
    return f"{shown:.0f}%" if shown >= 9.95 or shown == 0 else f"{shown:.1f}%"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value % 1 else f"{value:.0f}"
