"""What all figures share."""

__all__ = ["COLOURS", "WIDTH"]

# Okabe and Ito's colours, which stay apart for every common kind of colour blindness
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
WIDTH = 8.0  # inches
