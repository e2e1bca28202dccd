"""``python -m xrun`` is ``xrun``."""

from xrun.cli.main import main

if __name__ == "__main__":
    main()
