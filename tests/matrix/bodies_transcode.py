"""Requests for test_callers.py: of transcode's rpcs. No job has died in the matrix's stack."""
BODIES = {}
VARIABLES = {"RequeueDeadLetter.job_id": lambda s: "00000000-0000-7000-8000-000000000000"}
