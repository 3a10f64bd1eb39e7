"""Requests for test_callers.py: of the rpcs in console.proto."""
from api import PASSWORD

BODIES = {
    "ConsoleLogin": lambda s: {"username": s.owner, "password": PASSWORD},
    "PortalLogin": lambda s: {"username": s.owner, "password": PASSWORD},
}
VARIABLES = {}
