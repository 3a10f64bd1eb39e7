"""Requests for test_callers.py: of events' review queue and administration. Their ids name nothing: who may call gets 404."""
ULID = "01J00000000000000000000000"
OTHER = "01J00000000000000000000001"

BODIES = {
    "ApproveReview": lambda s: {},
    "RejectReview": lambda s: {"reason": "no event"},
    "FixReview": lambda s: {"corrections": {"name": "Another"}},
    "AdminUpdateEvent": lambda s: {"name": "Another"},
    "RequestTakedown": lambda s: {"reason": "asked for"},
    "RevertEvent": lambda s: {"version": 1},
    "AdminUpdatePlace": lambda s: {"name": "Another"},
    "AdminUpdateOrganization": lambda s: {"name": "Another"},
    "ConsolidateEvents": lambda s: {"event_ulid": ULID, "retire": [OTHER]},
    "MergePlaces": lambda s: {"primary_id": ULID, "duplicate_id": OTHER},
    "MergeOrganizations": lambda s: {"primary_id": ULID, "duplicate_id": OTHER},
    "UpdateSource": lambda s: {"trust_level": 6},
}
VARIABLES = {f"{rpc}.id": lambda s: ULID for rpc in (
    "AdminGetPlace", "SimilarPlaces", "AdminGetOrganization", "SimilarOrganizations",
    "AdminUpdateEvent", "AdminDeleteEvent", "AdminPublishEvent", "AdminUnpublishEvent",
    "RequestTakedown", "LiftTakedown", "AdminUpdatePlace", "AdminDeletePlace",
    "AdminUpdateOrganization", "AdminDeleteOrganization", "RevertEvent", "EventHistory",
)} | {
    f"{rpc}.id": lambda s: "999999999" for rpc in ("GetReview", "ApproveReview", "RejectReview", "FixReview")} | {
    "UpdateSource.id": lambda s: "01900000-0000-7000-8000-000000000000"}
