"""Okabe and Ito's palette, whose colours colour-blind readers can tell apart."""

BLACK, BLUE, GREEN, ORANGE = "#000000", "#0072b2", "#009e73", "#e69f00"
PURPLE, SKY_BLUE, VERMILLION, YELLOW = "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"

Rgb = tuple[int, int, int]


def _to_rgb(colour: str) -> Rgb:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


CLASS_COLOURS = tuple(map(_to_rgb, (SKY_BLUE, ORANGE, YELLOW, VERMILLION, GREEN, PURPLE, BLUE)))
"""Colours of the classes, in an order that keeps neighbours far apart."""
TRUTH_COLOUR, PREDICTION_COLOUR = CLASS_COLOURS[:2]
