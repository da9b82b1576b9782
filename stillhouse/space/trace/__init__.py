"""What may be searched in a module of somebody else, found by running it once: width and depth groups, costs, and smaller copies of it."""

from stillhouse.space.trace.builder import builder
from stillhouse.space.trace.found import traced
from stillhouse.space.trace.smaller import cut

__all__ = ["builder", "cut", "traced"]
