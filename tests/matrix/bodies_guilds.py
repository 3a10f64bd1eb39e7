"""Requests for test_callers.py: of the rpcs of guilds."""

BODIES = {}
VARIABLES = {
    "guild_id": lambda s: "1",
}
