"""Requests for test_callers.py: of events' calendars and occurrences. Their ids name nothing: who may call gets 404."""
ULID = "01J00000000000000000000000"
UUID = "01900000-0000-7000-8000-000000000000"
WHEN = {"start_time": "2031-01-01T19:00:00Z", "timezone": "America/Toronto"}

BODIES = {
    "CreateOccurrence": lambda s: dict(WHEN),
    "UpdateOccurrence": lambda s: {"status": "cancelled"},
    "ImportCalendar": lambda s: {"calendar": "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "name": "matrix"},
}
VARIABLES = {f"{rpc}.id": lambda s: ULID for rpc in (
    "GetEventCalendar", "GetSeriesCalendar", "CreateOccurrence", "UpdateOccurrence", "DeleteOccurrence",
)} | {f"{rpc}.occurrence_id": lambda s: UUID for rpc in ("UpdateOccurrence", "DeleteOccurrence")}
