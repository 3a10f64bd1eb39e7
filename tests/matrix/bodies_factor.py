"""Requests for test_callers.py: of the rpcs in factor.proto. Nobody has a second factor there: of who calls, all is well."""
from api import PASSWORD

BODIES = {
    "FinishLogin": lambda s: {"challenge": "none", "code": "123456"},
    "StartTotp": lambda s: {"password": PASSWORD},
    "ConfirmTotp": lambda s: {"code": "123456"},
    "RemoveTotp": lambda s: {"password": PASSWORD},
    "RenewRecoveryCodes": lambda s: {"password": PASSWORD},
    "StartPasskey": lambda s: {"password": PASSWORD},
    "AddPasskey": lambda s: {"ceremony": "none", "name": "laptop"},
    "RemovePasskey": lambda s: {"password": PASSWORD},
    "StartPasskeyLogin": lambda s: {},
    "FinishPasskeyLogin": lambda s: {"ceremony": "none"},
}
VARIABLES = {"passkey_id": lambda s: "bm9uZQ"}
