"""Requests for test_callers.py: of events' reading. Nothing is in the matrix's stack; its ids name nothing."""
BODIES = {}
VARIABLES = {f"{rpc}.id": lambda s: "01J00000000000000000000000" for rpc in ("GetEvent", "GetPlace", "GetOrganization")}
VARIABLES["ExportEvents.file"] = lambda s: "nothing.txt"
