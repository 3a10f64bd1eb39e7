"""Requests for test_callers.py: of the rpcs in uploads.proto. Nobody says anything of use: what counts is who is let in."""
from bodies_media import owners


def upload(scene):
    """One in parts, of the owner."""
    answer = scene.api.post("/media/upload/multipart", {"filename": "matrix.bin", "size_bytes": 1}, owners(scene))
    assert answer.status_code == 200, answer.text
    return answer.json()["upload"]


BODIES = {
    "CreateMultipartUpload": lambda s: {},
    "SignUploadParts": lambda s: {"part_numbers": [1]},
    "CompleteMultipartUpload": lambda s: {},
    "SignUpload": lambda s: {},
    "ConfirmUpload": lambda s: {},
    "CreateExport": lambda s: {},
    "CreateUpload": lambda s: {},
    "FinishUpload": lambda s: {},
}
VARIABLES = {"upload": upload, "track": lambda s: "de", "language": lambda s: "de", "sheet": lambda s: "storyboard-0",
             "ticket": lambda s: "bm9uZQ", "name": lambda s: "a.bin", "path": lambda s: "hls/master.m3u8"}
