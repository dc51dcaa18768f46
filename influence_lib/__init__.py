"""The library behind the Influence-SSL companion.

``data`` → ``pretrain`` → ``influence`` → ``studies`` → ``figures``: image sets, encoders, influence scores, numbers,
pictures; ``store`` keeps what takes long. ``theory`` has the paper's statements. ``notebook`` is what chapters share,
and ``book`` makes pages of them and verdicts of findings.
"""

__version__ = "0.1.0"
