"""Entry point of ``python -m influence_lib``."""

from influence_lib.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
