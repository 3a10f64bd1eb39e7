"""Requests for test_callers.py: of the rpcs in factor.proto."""
BODIES = {}
VARIABLES = {}
