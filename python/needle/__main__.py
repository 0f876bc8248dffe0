"""`python -m needle` is the console command `needle`."""

from needle.cli import main

if __name__ == "__main__":
    main()
