"""`python -m ws` is `ws`."""

from ws.cli import main

if __name__ == "__main__":
    main()
