"""Requests for test_callers.py: of the rpcs in uploads.proto. Nobody says anything of use: what counts is who is let in."""

BODIES = {
    "SignUpload": lambda s: {},
    "ConfirmUpload": lambda s: {},
    "CreateExport": lambda s: {},
    "CreateUpload": lambda s: {},
    "FinishUpload": lambda s: {},
}
VARIABLES = {"ticket": lambda s: "bm9uZQ", "name": lambda s: "a.bin", "path": lambda s: "hls/master.m3u8"}
