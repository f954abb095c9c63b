"""Numbers as text: durations, shares, counts and prices, in the form that all tables and pages share."""

import math

NOTHING = "–"  # stands where there is no number
_UNITS = (("ms", 1e-3, 0.9995), ("s", 1.0, 59.95), ("min", 60.0, 59.95 * 60.0), ("h", 3600.0, math.inf))


def duration(seconds: float) -> str:
    """Return seconds with two or three digits and a readable unit: ``12 ms``, ``1.4 s``, ``2.1 min``."""
    if not math.isfinite(seconds):
        return NOTHING
    if seconds <= 0:
        return "0 s"
    unit, size = next((unit, size) for unit, size, below in _UNITS if seconds < below)
    value = seconds / size
    return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.1f} {unit}"


def number(value: float) -> str:
    """Return a number with about three digits and with separators: ``0.042``, ``1.25``, ``12.4``, ``5,210``."""
    if not math.isfinite(value):
        return NOTHING
    if value >= 99.95 or value == 0:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.995 else f"{value:.2g}"


def percent(share: float) -> str:
    """Return a share of 1 in percent: ``14 %``."""
    return f"{100.0 * share:,.0f} %" if math.isfinite(share) else NOTHING


def share_text(share: float) -> str:
    """Return a share in percent, with enough digits to tell it from 0 and 1: ``14 %``, ``0.83 %``, ``99.94 %``."""
    if not math.isfinite(share):
        return NOTHING
    distance = 100.0 * min(abs(share), abs(1.0 - share))
    digits = min(3, max(0, 1 - math.floor(math.log10(distance)))) if 5e-4 <= distance < 10.0 else 0
    return f"{100.0 * share:,.{digits}f} %"


def count(many: int, noun: str, plural: str = "") -> str:
    """Return a number of things: ``1 GPU``, ``4 GPUs``."""
    return f"{many:,} {noun}" if many == 1 else f"{many:,} {plural or noun + 's'}"


def money(value: float, currency: str = "") -> str:
    """Return a price with two digits after the point, and the currency if it is known: ``12.50 USD``."""
    return f"{value:,.2f} {currency}".rstrip()


def round_money(value: float, currency: str = "") -> str:
    """Return a large price without digits after the point, and the currency if it is known: ``5,475 USD``."""
    return f"{value:,.0f} {currency}".rstrip()


def signed_percent(share: float) -> str:
    """Return a change as a share of 1 in percent, with its sign: ``+1.4 %``, ``-23 %``."""
    if not math.isfinite(share):
        return NOTHING
    if abs(share) < 0.0005:
        return "0.0 %"
    return f"{100.0 * share:+.1f} %" if abs(share) < 0.0995 else f"{100.0 * share:+,.0f} %"
