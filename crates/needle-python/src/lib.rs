//! needle for Python.
