"""Requests for test_callers.py: of the rpcs in signin.proto. There are no providers there: of who calls, all is well."""
from api import PASSWORD

BODIES = {
    "ExchangeCode": lambda s: {"code": "none"},
    "StartLink": lambda s: {"password": PASSWORD},
    "AddPassword": lambda s: {"password": PASSWORD},
}
VARIABLES = {"provider": lambda s: "none", "identity_id": lambda s: "0197a3c0-0000-7000-8000-000000000009"}
