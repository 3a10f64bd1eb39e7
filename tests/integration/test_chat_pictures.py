"""Avatars and icons, which image tags ask for without any header: pictures of the library, shown by who owns them."""
import struct
import zlib

import pytest

from chat_api import Person, everybody
from media_api import Library
from polling import poll


def png(color):
    """One pixel."""
    def chunk(kind, data):
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack("!IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) + \
        chunk(b"IDAT", zlib.compress(b"\0" + bytes(color))) + chunk(b"IEND", b"")


def item(who, data, name="picture.png"):
    """In his library."""
    return Library(who.api, {"access_token": who.token}).upload(data, name)


@pytest.fixture
def ann(api):
    return Person(api)


def test_an_avatar_is_shown_to_everybody(api, ann):
    path = f"/api/v1/users/{ann.id}/avatar"
    assert api.get(path).status_code == 404
    data = png((255, 0, 0))
    ann.call("PATCH", "/users/@me", {"avatar": item(ann, data)})
    shown = poll(lambda: (answer := api.get(path)).status_code == 200 and answer, what="the copy of the account is new")
    assert shown.content == data and shown.headers["Content-Type"] == "image/png"
    ann.call("PATCH", "/users/@me", {"avatar": ""})
    poll(lambda: api.get(path).status_code == 404, what="it is gone")


def test_what_is_not_ones_own_or_no_picture_is_not_shown(api, ann):
    bob = Person(api)
    for avatar in (item(bob, png((0, 255, 0))), item(ann, b"just text", "a.txt"), "a1b2c3"):
        ann.call("PATCH", "/users/@me", {"avatar": avatar})
        marker = Person(api)  # what chat has been told since
        marker.dm(ann)
        assert api.get(f"/api/v1/users/{ann.id}/avatar").status_code == 404
    assert api.get("/api/v1/users/x/avatar").status_code == 400
    assert api.get("/api/v1/guilds/1/icon").status_code == 404


def test_an_icon_is_a_picture_of_who_set_it(api, ann):
    bob, guild = Person(api), ann.guild()
    everybody(guild, ann, bob)
    path, edit = f"/api/v1/guilds/{guild['id']}/icon", f"/guilds/{guild['id']}"
    manager = ann.role(guild, "Manager", 1 << 7)
    ann.call("PUT", f"/guilds/{guild['id']}/members/{bob.id}/roles/{manager['id']}")
    private, data = item(ann, png((0, 0, 255))), png((9, 9, 9))
    bob.call("PATCH", edit, {"icon": private})
    assert api.get(path).status_code == 404, "nobody shows what others have, whatever he may manage"
    bob.call("PATCH", edit, {"icon": item(bob, data)})
    assert api.get(path).content == data
    ann.call("PATCH", edit, {"name": "Another name"})
    bob.call("DELETE", f"/guilds/{guild['id']}/members/@me")
    assert api.get(path).content == data, "it stays, whoever goes"
    ann.call("PATCH", edit, {"icon": private})
    assert api.get(path).content == png((0, 0, 255))
