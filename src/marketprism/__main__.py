"""``python -m marketprism`` is the ``marketprism`` command."""

from marketprism.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
