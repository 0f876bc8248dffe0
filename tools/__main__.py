"""`python -m tools` writes every generated file; what is already right stays untouched."""

from tools.generate import main

if __name__ == "__main__":
    main()
