"""Labels for every neuron at every validation, and how far they can be trusted."""

__version__ = "0.1.0"
