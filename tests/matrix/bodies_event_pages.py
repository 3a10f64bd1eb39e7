"""Requests for test_callers.py: of the pages of events. Nothing has these ids."""
NOBODYS = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def nobodys(_scene):
    return NOBODYS


BODIES = {}
VARIABLES = {
    "GetEventPage.id": nobodys,
    "GetPlacePage.id": nobodys,
    "GetOrganizationPage.id": nobodys,
    "GetSeriesPage.id": nobodys,
    "GetPlaceFeed.id": nobodys,
    "GetOrganizationFeed.id": nobodys,
    "GetSeriesFeed.id": nobodys,
    "GetQuality.id": nobodys,
    "feed": lambda s: "events.atom",
    "GetShapes.name": lambda s: "event.ttl",
    "kind": lambda s: "events.xml",
}
