"""The parts of `lamina profile`: the step it runs, the roofline and the trace."""

from .roofline import Roof, draw_roofline, measure_roof
from .trace import chrome_trace
from .work import Work

__all__ = ["Roof", "Work", "chrome_trace", "draw_roofline", "measure_roof"]
