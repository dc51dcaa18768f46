"""The library behind the Influence-SSL companion.

``data`` → ``pretrain`` → ``influence`` → ``store`` → ``figures``: image sets, encoders, influence scores,
results on disk, pictures. ``book`` executes the notebooks and renders the pages.
"""

from importlib.metadata import version

__version__ = version("influence-ssl-companion")
