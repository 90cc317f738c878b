"""`python -m ticketd`."""

from ticketd.cli import main

if __name__ == "__main__":
    main()
