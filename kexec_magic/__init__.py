"""Run notebook cells in Kubernetes pods."""

__version__ = "0.1.0"
