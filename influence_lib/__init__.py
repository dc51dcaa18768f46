"""The library behind the Influence-SSL companion.

``data`` → ``pretrain`` → ``influence`` → ``store`` → ``figures``: image sets, encoders, influence scores,
results on disk, pictures. ``book`` executes the notebooks and renders the pages.
"""

__version__ = "0.1.0"
