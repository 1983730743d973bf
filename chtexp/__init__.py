"""chtexp: dynamic sparse training, its experiments and its tables."""

__version__ = "0.1.0"
