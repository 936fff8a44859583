"""What `lamina profile` runs and draws: a step of a network, the roofline, a trace."""

from .roofline import Roof, draw_roofline, measure_roof
from .trace import chrome_trace
from .work import Work

__all__ = ["Roof", "Work", "chrome_trace", "draw_roofline", "measure_roof"]
