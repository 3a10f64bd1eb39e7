"""Media: the routes of the original's contract (contracts/media.md), with what ours has beside; then its defects, as
tests that they are not ours."""
import re
import secrets
import uuid

import pytest

from media_api import Library, error

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")
NOBODY = "0197a3c0-0000-7000-8000-00000000dead"  # of no item; the same in each run, so that a test can be named
MALFORMED = ("not-a-uuid", "upload", "0", "%00", NOBODY + "0")


@pytest.fixture
def mine(api):
    return Library(api)


@pytest.fixture
def other(api):
    return Library(api)


# ------------------------------------------------------------------------------------------------ the list
def test_an_empty_list(mine):
    assert mine.list() == {"items": [], "total_count": 0, "page": 1, "page_size": 20}


def test_an_item_as_the_list_shows_it(mine):
    media_id = mine.sign("a film.mp4", mime_type="video/mp4")["media_id"]
    item, = mine.list()["items"]
    assert list(item)[:8] == ["id", "title", "original_filename", "mime_type", "size_bytes", "duration_seconds", "status",
                              "tags"]
    assert item["id"] == media_id and item["title"] == "" and item["original_filename"] == "a film.mp4"
    assert item["mime_type"] == "video/mp4" and item["size_bytes"] == 0 and item["duration_seconds"] == 0
    assert item["status"] == "uploading" and item["tags"] == [] and TIME.match(item["created_at"])


@pytest.mark.parametrize("wanted, held", [
    ({"page": "0"}, (1, 20)), ({"page": "-3"}, (1, 20)), ({"page": "2"}, (2, 20)), ({"page_size": "0"}, (1, 20)),
    ({"page_size": "100"}, (1, 100)), ({"page_size": "101"}, (1, 20)), ({"page_size": "-1"}, (1, 20)),
    ({"page": "", "page_size": ""}, (1, 20)), ({"page": str(2**63 - 1)}, (2**63 - 1, 20))])
def test_pages_have_these_sizes(mine, wanted, held):
    answer = mine.list(**wanted)
    assert (answer["page"], answer["page_size"]) == held and answer["items"] == []


@pytest.mark.parametrize("params", [{"page": "x"}, {"page_size": "1.5"}, {"page": str(2**63)}])
def test_numbers_have_to_be_numbers(mine, params):
    name = next(iter(params))
    body = error(mine.call("GET", "/media", params=params), 400, "invalid_argument")
    assert body["message"].startswith(f"decode request: {name}: invalid parameter: ")


def test_pages_and_cursors_agree(mine):
    ids = [mine.sign(f"{i}.bin")["media_id"] for i in range(7)][::-1]
    by_page = [i["id"] for page in (1, 2, 3, 4) for i in mine.list(page=page, page_size=3)["items"]]
    assert by_page == ids
    seen, cursor = [], None
    while True:
        answer = mine.list(page_size=3, **({"cursor": cursor} if cursor else {}))
        assert answer["total_count"] == 7
        seen += [i["id"] for i in answer["items"]]
        cursor = answer.get("next_cursor")
        if not cursor:
            break
    assert seen == ids


def test_a_cursor_is_stable_while_items_come_and_go(mine):
    ids = [mine.sign(f"{i}.bin")["media_id"] for i in range(6)][::-1]
    first = mine.list(page_size=2)
    mine.sign("later.bin")
    mine.ok("DELETE", f"/media/{ids[0]}")
    rest = mine.list(page_size=10, cursor=first["next_cursor"])
    assert [i["id"] for i in first["items"]] + [i["id"] for i in rest["items"]] == ids


def test_a_cursor_of_another_list_is_refused(mine):
    for i in range(3):
        mine.sign(f"{i}.bin")
    cursor = mine.list(page_size=1)["next_cursor"]
    for params in ({"cursor": "nonsense"}, {"cursor": cursor, "sort": "title"}, {"cursor": "////"}):
        error(mine.call("GET", "/media", params=params), 400, "invalid_argument")


def test_filters_by_status_and_tags(mine):
    a, b = mine.sign("a.bin")["media_id"], mine.sign("b.bin")["media_id"]
    mine.ok("PATCH", f"/media/{a}/tags", {"add_tags": ["red", "round"]})
    mine.ok("PATCH", f"/media/{b}/tags", {"add_tags": ["blue", "a,b"]})
    assert {i["id"] for i in mine.list(tags=["red", "blue"])["items"]} == {a, b}
    assert [i["id"] for i in mine.list(tags="round")["items"]] == [a]
    assert [i["id"] for i in mine.list(tags="a,b")["items"]] == [b]
    assert mine.list(tags="Red")["total_count"] == 0
    assert mine.list(status="uploading")["total_count"] == 2
    assert mine.list(status="ready")["items"] == [] == mine.list(status="nonsense")["items"]


def test_words_are_found_in_title_tags_and_file_name(mine, other):
    a, b = mine.sign("beach_2024-sunset.mp4")["media_id"], mine.sign("x.bin")["media_id"]
    mine.ok("PATCH", f"/media/{b}", {"title": "Grüße vom Meer"})
    mine.ok("PATCH", f"/media/{b}/tags", {"add_tags": ["holiday snaps"]})
    other.sign("sunset.mp4")
    for words, found in (("sunset", [a]), ("SUN", [a]), ("beach sunset", [a]), ("grüße", [b]), ("holi meer", [b]),
                         ("beach meer", []), ("'!& | :*", []), ("#1", []), ("2024", [a])):
        assert [i["id"] for i in mine.list(q=words)["items"]] == found, words
    error(mine.call("GET", "/media", params={"q": "x" * 201}), 400, "invalid_argument")


@pytest.mark.parametrize("sort, reverse", [("title", False), ("-title", True)])
def test_sorted_by_title_with_cursors(mine, sort, reverse):
    titles = ["pear", "Apple", "fig", "apple", "", "Ügly"]
    for title in titles:
        media_id = mine.sign("x.bin")["media_id"]
        mine.ok("PATCH", f"/media/{media_id}", {"title": title})
    seen, cursor = [], {}
    while cursor is not None:
        answer = mine.list(sort=sort, page_size=2, **cursor)
        assert answer["total_count"] == len(titles)
        seen += [i["title"] for i in answer["items"]]
        cursor = {"cursor": answer["next_cursor"]} if "next_cursor" in answer else None
    assert [t.lower() for t in seen] == sorted((t.lower() for t in titles), reverse=reverse)


@pytest.mark.parametrize("params, count", [
    ({"type": "video"}, 1), ({"type": "image"}, 1), ({"type": "other"}, 1), ({"created_after": "2100-01-01T00:00:00Z"}, 0),
    ({"created_before": "2100-01-01T00:00:00Z"}, 3), ({"min_duration_ms": "1"}, 0), ({"sort": "size"}, 3),
    ({"sort": "-duration"}, 3), ({"sort": "created"}, 3)])
def test_more_filters(mine, params, count):
    for mime_type in ("video/mp4", "image/png", ""):
        mine.sign("x.bin", mime_type=mime_type)
    answer = mine.list(**params)
    assert (len(answer["items"]), answer["total_count"]) == (count, count)


@pytest.mark.parametrize("params", [{"type": "film"}, {"sort": "colour"}, {"sort": "-"}, {"created_after": "yesterday"}])
def test_wrong_filters(mine, params):
    error(mine.call("GET", "/media", params=params), 400, "invalid_argument")


# ------------------------------------------------------------------------------------------------ one item
def test_ids_are_read_in_any_form_and_written_in_one(mine):
    media_id = mine.sign()["media_id"]
    for form in (media_id.upper(), media_id.replace("-", ""), "{" + media_id + "}"):
        assert mine.item(form)["id"] == media_id
        assert mine.ok("PATCH", f"/media/{form}/tags", {})["media_id"] == form


@pytest.mark.parametrize("media_id", (NOBODY, *MALFORMED))
def test_what_is_not_there(mine, media_id):
    for method, path, body in (("GET", "", None), ("PATCH", "", {}), ("PATCH", "/tags", {}), ("DELETE", "", None),
                               ("POST", "/restore", None), ("POST", "/reprocess", None), ("POST", "/cancel", None)):
        answer = mine.call(method, f"/media/{media_id}{path}", body)
        if media_id == "%00":
            assert answer.status_code in (400, 404)
        elif media_id != "upload" or not path:
            error(answer, 404, "not_found", "media not found")
    if media_id != "%00":
        error(mine.call("GET", f"/processing/{media_id}/status"), 404, "not_found", "media not found")
        error(mine.call("GET", f"/processing/{media_id}/events"), 404, "not_found", "media not found")


def test_title_and_file_name_can_be_changed(mine):
    media_id = mine.sign("a.bin")["media_id"]
    assert mine.ok("PATCH", f"/media/{media_id}", {"title": "Day <1> & 2"})["title"] == "Day <1> & 2"
    item = mine.ok("PATCH", f"/media/{media_id}", {"original_filename": "b.bin", "title": None})
    assert (item["title"], item["original_filename"]) == ("Day <1> & 2", "b.bin")
    for wrong in ({"title": "x" * 501}, {"original_filename": ""}, {"original_filename": "a/b"},
                  {"original_filename": "x" * 256}):
        error(mine.call("PATCH", f"/media/{media_id}", wrong), 400, "invalid_argument")
    assert mine.item(media_id)["original_filename"] == "b.bin"


def test_tags_are_added_first_then_removed(mine):
    media_id = mine.sign()["media_id"]
    answer = mine.ok("PATCH", f"/media/{media_id}/tags", {"add_tags": ["a", "b", "", " a", "A", "b"],
                                                          "remove_tags": ["b", "zzz"]})
    assert list(answer) == ["media_id", "tags"]
    assert sorted(answer["tags"]) == ["", " a", "A", "a"]
    assert sorted(mine.item(media_id)["tags"]) == ["", " a", "A", "a"]
    # What cannot be stored is skipped.
    assert mine.ok("PATCH", f"/media/{media_id}/tags", {"add_tags": ["x" * 101, "\u0001"]})["tags"] == answer["tags"]
    assert mine.ok("PATCH", f"/media/{media_id}/tags", {"remove_tags": ["", " a", "A", "a"]})["tags"] == []
    error(mine.call("PATCH", f"/media/{media_id}/tags", {"add_tags": [str(i) for i in range(101)]}), 400, "invalid_argument")


def test_deleting_hides_at_once_and_is_a_404_the_second_time(mine):
    media_id, collection = mine.upload(), mine.collection()
    mine.ok("POST", f"/collection/{collection['id']}/add", {"media_id": media_id})
    assert mine.ok("DELETE", f"/media/{media_id}") == {"success": True}
    error(mine.call("DELETE", f"/media/{media_id}"), 404, "not_found", "media not found")
    error(mine.call("GET", f"/media/{media_id}"), 404, "not_found", "media not found")
    error(mine.call("GET", f"/processing/{media_id}/status"), 404, "not_found")
    assert mine.list()["total_count"] == 0
    assert mine.ok("GET", f"/collection/{collection['id']}")["items"] == []
    error(mine.call("POST", f"/collection/{collection['id']}/add", {"media_id": media_id}), 404, "not_found",
          "media not found")


def test_the_trash_gives_back(mine, other):
    media_id = mine.upload(title="kept")
    mine.ok("DELETE", f"/media/{media_id}")
    item, = mine.ok("GET", "/media/trash")["items"]
    assert item["id"] == media_id and TIME.match(item["deleted_at"]) and item["purge_at"] > item["deleted_at"]
    assert other.ok("GET", "/media/trash")["items"] == []
    error(other.call("POST", f"/media/{media_id}/restore"), 404, "not_found", "media not found")
    assert mine.ok("POST", f"/media/{media_id}/restore")["title"] == "kept"
    assert mine.list()["total_count"] == 1 and mine.ok("GET", "/media/trash")["items"] == []
    mine.ok("DELETE", f"/media/{media_id}")
    mine.ok("DELETE", f"/media/{media_id}", params={"permanent": "true"})
    error(mine.call("POST", f"/media/{media_id}/restore"), 404, "not_found")
    assert mine.ok("GET", "/media/usage")["used_bytes"] == 0


def test_the_trash_is_listed_by_cursor(mine):
    ids = [mine.upload(filename=f"{i}.bin") for i in range(3)]
    for media_id in ids:
        mine.ok("DELETE", f"/media/{media_id}")
    first = mine.ok("GET", "/media/trash", params={"page_size": 2})
    rest = mine.ok("GET", "/media/trash", params={"page_size": 2, "cursor": first["next_cursor"]})
    assert [i["id"] for i in first["items"] + rest["items"]] == ids[::-1] and "next_cursor" not in rest
    error(mine.call("GET", "/media/trash", params={"cursor": "x"}), 400, "invalid_argument")


# ------------------------------------------------------------------------------------------------ digests and quotas
def test_content_is_known_to_its_owner_only(mine, other):
    media_id = mine.upload(b"the same bytes")
    digest = mine.item(media_id)["sha256"]
    ask = {"sha256": [digest, digest.upper(), "00" * 32]}
    assert mine.ok("POST", "/media/check", ask) == {"known": [{"sha256": digest, "media_id": media_id}]}
    assert other.ok("POST", "/media/check", ask) == {"known": []}
    for wrong in (["zz"], ["00" * 31], ["00" * 32] * 1001):
        error(mine.call("POST", "/media/check", {"sha256": wrong}), 400, "invalid_argument")


def test_the_same_content_counts_once_and_goes_with_the_last(mine):
    content = secrets.token_bytes(5000)
    first, second = mine.upload(content), mine.upload(content)
    assert mine.ok("GET", "/media/usage")["used_bytes"] == 5000
    mine.ok("DELETE", f"/media/{first}", params={"permanent": "true"})
    assert mine.ok("GET", "/media/usage")["used_bytes"] == 5000
    assert mine.item(second)["size_bytes"] == 5000
    mine.ok("DELETE", f"/media/{second}", params={"permanent": "true"})
    usage = mine.ok("GET", "/media/usage")
    assert (usage["used_bytes"], usage["reserved_bytes"], usage["item_count"]) == (0, 0, 0)


@pytest.fixture
def administrator(stack, api):
    name = "m" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", "correct horse battery")
    return Library(api, api.login(name).json())


@pytest.mark.local
def test_quotas_hold(mine, administrator):
    user_id = int(mine.user["user"]["id"])
    assert administrator.ok("PUT", f"/media/quotas/{user_id}", {"limit_bytes": 3000})["limit_bytes"] == 3000
    mine.upload(secrets.token_bytes(2000), size_bytes=2000)
    body = error(mine.call("POST", "/media/upload/sign", {"filename": "x", "size_bytes": 2000}), 429, "resource_exhausted")
    assert body["details"] == {"used": 2000, "limit": 3000, "requested": 2000}
    assert administrator.ok("GET", f"/media/quotas/{user_id}")["used_bytes"] == 2000
    administrator.ok("PUT", f"/media/quotas/{user_id}", {})
    mine.sign("x", size_bytes=2000)
    error(mine.call("GET", f"/media/quotas/{user_id}"), 403, "permission_denied")
    error(administrator.call("PUT", f"/media/quotas/{user_id}", {"limit_bytes": -1}), 400, "invalid_argument")


# ------------------------------------------------------------------------------------------------ processing
def test_the_status_of_a_processing(mine):
    media_id = mine.sign()["media_id"]
    assert mine.ok("GET", f"/processing/{media_id.upper()}/status") == {"media_id": media_id, "status": "uploading"}
    error(mine.call("POST", f"/media/{media_id}/reprocess"), 400, "failed_precondition")
    error(mine.call("POST", f"/media/{media_id}/cancel"), 400, "failed_precondition")


def test_a_processing_is_cancelled_and_begun_anew(mine):
    media_id = mine.upload()
    state = mine.ok("POST", f"/media/{media_id}/cancel")
    if state["status"] == "failed" and mine.item(media_id).get("failure", {}).get("code") == "cancelled":
        status = mine.ok("GET", f"/processing/{media_id}/status")
        assert status["status"] == "failed" and status["failure"] == {"code": "cancelled", "retryable": True}
        assert mine.ok("POST", f"/media/{media_id}/reprocess") == {"media_id": media_id, "status": "queued"}
        again = mine.call("POST", f"/media/{media_id}/reprocess")
        if again.status_code != 200:  # it is not over yet
            error(again, 400, "failed_precondition", "the media is being processed")


def test_watching_tells_how_it_stands(mine):
    media_id = mine.upload()
    mine.call("POST", f"/media/{media_id}/cancel")
    mine.settled(media_id)
    answer = mine.call("GET", f"/processing/{media_id}/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/event-stream")
    assert "event: failed" in answer.text or "event: completed" in answer.text
    last = re.findall(r"^id: ?(.*)$", answer.text, re.M)[-1]
    again = mine.call("GET", f"/processing/{media_id}/events", headers={"Last-Event-ID": last})
    assert "data:" not in again.text


# ------------------------------------------------------------------------------------------------ collections
def test_a_collection_is_made_listed_and_changed(mine):
    made = mine.collection(description="1 & 2")
    assert list(made) == ["id", "title", "description", "is_public", "share_token", "created_at"]
    assert made["is_public"] is False and uuid.UUID(made["share_token"]) and TIME.match(made["created_at"])
    second = mine.collection(title="second")
    assert second["description"] == ""
    assert mine.ok("GET", "/collection") == {"collections": [second, made]}
    path = f"/collection/{made['id']}"
    assert mine.ok("PATCH", path, {"title": None})["title"] == "summer"
    assert mine.ok("PATCH", path, {"title": "", "description": "d"})["title"] == ""
    assert mine.ok("GET", "/collection")["collections"][1] == {**made, "title": "", "description": "d"}
    assert mine.ok("DELETE", path) == {"success": True}
    error(mine.call("DELETE", path), 404, "not_found", "collection not found")


@pytest.mark.parametrize("body", [{}, {"title": ""}, {"title": None}, {"description": "x"}])
def test_a_title_is_required(mine, body):
    error(mine.call("POST", "/collection", body), 400, "invalid_argument", "title is required")
    error(mine.call("POST", "/collection", {"title": "x" * 501}), 400, "invalid_argument")


def test_items_of_a_collection(mine, other):
    collection, a, b = mine.collection(), mine.upload(title="a"), mine.upload(title="b")
    path = f"/collection/{collection['id']}"
    for media_id in (a, b, a):
        assert mine.ok("POST", f"{path}/add", {"media_id": media_id}) == {"success": True}
    view = mine.ok("GET", path)
    assert list(view)[:8] == ["id", "title", "description", "is_public", "is_owner", "item_count", "items", "created_at"]
    assert view["is_owner"] is True and view["item_count"] == 2 and [i["id"] for i in view["items"]] == [b, a]
    assert "share_token" not in view and TIME.match(view["items"][0]["added_at"])
    foreign = other.upload()
    for media_id, status, code, message in (
            (foreign, 403, "permission_denied", "not authorized to add this media"), ("", 404, "not_found", "media not found"),
            ("x", 404, "not_found", "media not found"), (NOBODY, 404, "not_found", "media not found")):
        error(mine.call("POST", f"{path}/add", {"media_id": media_id}), status, code, message)
    error(other.call("POST", f"{path}/add", {"media_id": "x"}), 403, "permission_denied", "not authorized")
    error(mine.call("POST", f"/collection/{NOBODY}/add", {"media_id": "x"}), 404, "not_found", "collection not found")
    for media_id in (a, a, NOBODY):
        assert mine.ok("DELETE", f"{path}/media/{media_id}") == {"success": True}
    error(mine.call("DELETE", f"{path}/media/x"), 404, "not_found")
    assert [i["id"] for i in mine.ok("GET", path)["items"]] == [b]


# ------------------------------------------------------------------------------------------------ sharing
def test_who_may_see_a_collection(mine, other, api):
    collection = mine.collection()
    path, token = f"/collection/{collection['id']}", collection["share_token"]
    denied = dict(status=403, code="permission_denied", message="access denied")
    for ask in (lambda **p: other.call("GET", path, params=p), lambda **p: api.get(path, params=p),
                lambda **p: api.get(path, "no token at all", params=p)):
        error(ask(), **denied)
        error(ask(token=""), **denied)
        error(ask(token=token.upper()), **denied)
        error(ask(token=NOBODY), **denied)
        assert ask(token=token).json()["is_owner"] is False
    error(api.get(f"/collection/{NOBODY}"), 404, "not_found", "collection not found")
    error(api.get("/collection/x"), 404, "not_found", "collection not found")
    shared = mine.ok("PUT", f"{path}/share", {"is_public": True})
    assert shared["is_public"] is True and shared["share_url"] == f"{path}?token={token}"
    assert api.get(path).status_code == 200
    mine.ok("PUT", f"{path}/share", {"is_public": False})
    error(api.get(path), **denied)


def test_the_rules_of_a_link(mine, api):
    collection = mine.collection()
    path, token = f"/collection/{collection['id']}", collection["share_token"]

    def see(**params):
        return api.get(path, params={"token": token, **params}).status_code

    as_it_stands = mine.ok("PUT", f"{path}/share", {})
    assert as_it_stands["link_enabled"] is True and as_it_stands["has_password"] is False
    assert as_it_stands["view_count"] == 0 and see() == 200
    assert mine.ok("PUT", f"{path}/share", {})["view_count"] == 1
    mine.ok("PUT", f"{path}/share", {"link_enabled": False})
    assert see() == 403
    mine.ok("PUT", f"{path}/share", {"link_enabled": True, "expires_at": "2020-01-01T00:00:00Z"})
    assert see() == 403
    mine.ok("PUT", f"{path}/share", {"expires_at": "2100-01-01T00:00:00Z"})
    assert see() == 200
    rotated = mine.ok("PUT", f"{path}/share", {"regenerate_token": True, "expires_at": "1970-01-01T00:00:00Z"})
    assert "expires_at" not in rotated and rotated["share_token"] != token and see() == 403
    assert api.get(path, params={"token": rotated["share_token"]}).status_code == 200


def test_a_password_of_a_link(mine, api):
    collection = mine.collection()
    path, token = f"/collection/{collection['id']}", collection["share_token"]
    assert mine.ok("PUT", f"{path}/share", {"password": "open sesame"})["has_password"] is True
    body = error(api.get(path, params={"token": token}), 403, "permission_denied", "access denied")
    assert body["details"] == {"password_required": True}
    error(api.post(f"{path}/unlock", {"token": token, "password": "wrong"}), 403, "permission_denied", "wrong password")
    error(api.post(f"{path}/unlock", {"token": NOBODY, "password": "open sesame"}), 403, "permission_denied", "access denied")
    access = api.post(f"{path}/unlock", {"token": token, "password": "open sesame"}).json()["access"]
    assert api.get(path, params={"token": token, "access": access}).status_code == 200
    another = mine.collection()
    mine.ok("PUT", f"/collection/{another['id']}/share", {"password": "x"})
    assert api.get(f"/collection/{another['id']}",
                   params={"token": another["share_token"], "access": access}).status_code == 403
    mine.ok("PUT", f"{path}/share", {"password": "another"})
    assert api.get(path, params={"token": token, "access": access}).status_code == 403
    mine.ok("PUT", f"{path}/share", {"password": ""})
    assert api.get(path, params={"token": token}).status_code == 200


# ------------------------------------------------------------------------------------------------ nobody else's
def private_routes(media_id, collection_id):
    """Everything that is one user's."""
    item, collection = f"/media/{media_id}", f"/collection/{collection_id}"
    return [("GET", item, None), ("PATCH", item, {"title": "x"}), ("PATCH", f"{item}/tags", {"add_tags": ["x"]}),
            ("DELETE", item, None), ("DELETE", f"{item}?permanent=true", None), ("POST", f"{item}/restore", None),
            ("POST", f"{item}/reprocess", None), ("POST", f"{item}/cancel", None),
            ("GET", f"/processing/{media_id}/status", None), ("GET", f"/processing/{media_id}/events", None),
            ("POST", "/media/upload/confirm", {"media_id": media_id}),
            ("PATCH", collection, {"title": "x"}), ("DELETE", collection, None),
            ("POST", f"{collection}/add", {"media_id": media_id}), ("DELETE", f"{collection}/media/{media_id}", None),
            ("PUT", f"{collection}/share", {})]


def test_nobody_reaches_what_is_somebody_elses(mine, other, api):
    media_id, collection_id = mine.upload(), mine.collection()["id"]
    mine.ok("POST", f"/collection/{collection_id}/add", {"media_id": media_id})
    before = mine.ok("GET", f"/collection/{collection_id}")["items"][0]["id"]
    for method, path, body in private_routes(media_id, collection_id):
        error(other.call(method, path, body), 403, "permission_denied", "not authorized")
        error(api.call(method, path, json=body), 401, "unauthenticated", "missing auth param")
        error(api.call(method, path, "nonsense", json=body), 401, "unauthenticated", "invalid session")
    error(other.call("GET", f"/collection/{collection_id}"), 403, "permission_denied", "access denied")
    assert before == media_id == mine.item(media_id)["id"]
    assert other.list()["items"] == []


# ------------------------------------------------------------------------------------------------ the wire
@pytest.mark.parametrize("method, path", [("GET", "/media"), ("POST", "/collection"), ("GET", f"/media/{NOBODY}"),
                                          ("PUT", f"/collection/{NOBODY}/share"), ("GET", f"/processing/{NOBODY}/status")])
def test_who_one_is_comes_before_what_one_says(api, method, path):
    error(api.call(method, path, data=b"garbage"), 401, "unauthenticated", "missing auth param")


@pytest.mark.parametrize("body, message", [
    (b"", "decode request: request_body: missing request body: missing request body"), (b"garbage", None), (b"[1]", None),
    (b'{"title": 5}', "decode request: Title: invalid json parameter: "), (b'{"title": "x"', None)])
def test_bodies_that_cannot_be_read(mine, body, message):
    answer = mine.api.call("POST", "/collection", mine.token, data=body)
    told = error(answer, 400, "invalid_argument")["message"]
    assert message is None or told.startswith(message)


def test_bodies_are_read_leniently(mine):
    for body in (b'{"TITLE": "x", "unknown": [1]}', b'{"title": "y", "title": "x", "description": null}'):
        assert mine.api.call("POST", "/collection", mine.token, data=body).json()["title"] == "x"


def test_headers_of_an_answer(mine):
    for path in ("/media", f"/media/{NOBODY}"):
        answer = mine.call("GET", path, headers={"X-Request-ID": "r1", "X-Correlation-ID": "c" * 80})
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert re.fullmatch("[0-9a-v]{26}", answer.headers["X-Encore-Trace-ID"])
        assert answer.headers["X-Correlation-ID"] == "c" * 64
    assert mine.call("HEAD", "/media").status_code == 200


def test_a_bare_token_does(mine):
    for value in (mine.token, f"Bearer {mine.token}", f"bearer {mine.token}"):
        assert mine.api.call("GET", "/media", headers={"Authorization": value}).status_code == 200


def test_wrong_methods_are_not_found(mine):
    for method, path in (("PUT", "/media"), ("DELETE", "/collection"), ("POST", f"/media/{NOBODY}")):
        error(mine.call(method, path), 404, "not_found", "endpoint not found")
    error(mine.call("GET", "/media/upload/sign"), 404, "not_found", "endpoint not found")


# ------------------------------------------------------------------------------------------------ defects of the original
def test_more_than_2_gib_is_a_size(mine):
    """Defect 2: sizes are 64 bits wide."""
    signed = mine.sign("big.bin", size_bytes=5 * 2**30)
    assert mine.ok("GET", "/media/usage")["reserved_bytes"] == 5 * 2**30
    mine.ok("DELETE", f"/media/{signed['media_id']}")


def test_an_untitled_item_hides_nothing(mine):
    """Defect 3."""
    old, untitled = mine.upload(title="old"), mine.sign()["media_id"]
    answer = mine.list()
    assert [i["id"] for i in answer["items"]] == [untitled, old] and answer["total_count"] == 2
    assert answer["items"][0]["title"] == ""


def test_confirming_twice_makes_no_second_job(mine):
    """Defect 7."""
    media_id = mine.upload()
    before = mine.ok("GET", f"/processing/{media_id}/status").get("attempt", 0)
    for _ in range(3):
        assert mine.ok("POST", "/media/upload/confirm", {"media_id": media_id}) == {"media_id": media_id, "status": "queued"}
    assert mine.ok("GET", f"/processing/{media_id}/status").get("attempt", 0) <= before + 1


def test_confirming_without_bytes_is_refused(mine):
    """Contract section 16, and defect 5."""
    media_id = mine.sign()["media_id"]
    error(mine.call("POST", "/media/upload/confirm", {"media_id": media_id}), 400, "failed_precondition")
    assert mine.item(media_id)["status"] == "uploading"


def test_tags_are_each_users_own(api):
    one, two = Library(api), Library(api)
    ids = [int(library.user["user"]["id"]) for library in (one, two)]
    tags = ["same", f"{ids[1]}:same", ":", "a:b"]
    item = one.upload()
    one.ok("PATCH", f"/media/{item}/tags", {"add_tags": tags})
    for tag in tags:
        assert [i["id"] for i in one.list(tags=tag)["items"]] == [item]
        assert one.list(tags=[tag, "other"], sort="title")["total_count"] == 1
        for wish in (tag, f"{ids[0]}:{tag}", f":{ids[0]}:{tag}"):
            assert two.list(tags=wish)["items"] == []
