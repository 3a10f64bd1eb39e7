"""Requests for test_callers.py: of events that are handed in."""
import secrets


def event():
    word = secrets.token_hex(8)
    return {"name": f"Matrix {word}", "description": "A test.", "startDate": "2026-12-20T19:00:00-05:00", "location": word}


BODIES = {
    "SubmitEvent": lambda s: event(),
    "ValidateEvent": lambda s: event(),
    "SubmitBatch": lambda s: {"events": [event()]},
}
VARIABLES = {"GetBatchStatus.id": lambda s: "01J00000000000000000000000"}
