"""Suites that need a whole platform take its helpers from tests/integration."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))
