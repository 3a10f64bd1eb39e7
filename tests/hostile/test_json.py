"""Bodies of hostile JSON: what each gets, in the manner of the chat contract, which forgives most."""
import pytest

FINE, BAD, BAD_TEXT = (200, None), (400, "INVALID_BODY"), (400, "INVALID_DISPLAY_NAME")
MANY_KEYS = b"{" + b",".join(b'"k%d":1' % i for i in range(5000)) + b"}"


@pytest.mark.parametrize("body, expected", [
    # wrong types
    (b'{"display_name":5}', BAD), (b'{"display_name":["a"]}', BAD), (b'{"display_name":{"a":1}}', BAD),
    (b'{"display_name":true}', BAD), (b"[]", BAD), (b'"x"', BAD), (b"5", BAD),
    # keys that come twice, or that nobody knows
    (b'{"display_name":"first","display_name":"last"}', FINE), (b'{"display_name":"a","other":{"x":[1,{"y":null}]}}', FINE),
    (MANY_KEYS, FINE), (b'{"' + b"k" * 50_000 + b'":1}', FINE),
    # nesting
    (b'{"x":' + b"[" * 30 + b"]" * 30 + b"}", FINE), (b'{"x":' + b"[" * 200 + b"]" * 200 + b"}", BAD),
    (b'{"x":' * 10_000 + b"1" + b"}" * 10_000, BAD), (b"[" * 60_000, BAD),
    # text
    (b'{"display_name":"a\\u0000b"}', BAD_TEXT), (b'{"display_name":"a\x00b"}', BAD), (b'{"display_name":"a\nb"}', BAD),
    (b'{"display_name":"\xc3\x28"}', BAD_TEXT), (b'{"display_name":"\xed\xa0\x80"}', BAD_TEXT),
    (b'{"display_name":"\xc0\xaf"}', BAD_TEXT),
    (b'{"display_name":"\\ud83d"}', BAD_TEXT), (b'{"display_name":"\\ud83d\\ude00"}', FINE), (b'{"x":"\\x41"}', BAD),
    (b"\xef\xbb\xbf{}", BAD), (b"\x00", BAD), (b"\xff\xfe{\x00}\x00", BAD),
    # numbers
    (b'{"x":1e999999}', FINE), (b'{"x":' + b"9" * 5000 + b"}", FINE), (b'{"x":01}', BAD), (b'{"x":+1}', BAD),
    (b'{"x":.5}', BAD), (b'{"x":1.}', BAD), (b'{"x":Infinity}', BAD), (b'{"x":NaN}', BAD), (b'{"x":0x1}', BAD),
    # grammar
    (b"{,}", BAD), (b'{"a":1,}', BAD), (b"{'a':1}", BAD), (b"//\n{}", BAD), (b'{"a" 1}', BAD), (b'{"a":1', BAD), (b" ", BAD),
    # limits of the field itself
    (b'{"display_name":"' + b"x" * 60_000 + b'"}', BAD_TEXT),
    (b'{"display_name":"' + b"x" * 70_000 + b'"}', (413, "PAYLOAD_TOO_LARGE")),
], ids=lambda value: None if isinstance(value, tuple) else repr(value[:24]))
def test_json(api, user, body, expected):
    answer = api.call("PATCH", "/api/v1/users/@me", user["access_token"], data=body,
                      headers={"Content-Type": "application/json"})
    code = answer.json()["error"]["code"] if answer.status_code != 200 else None
    assert (answer.status_code, code) == expected, answer.text


def test_of_two_equal_keys_the_last_counts(api, user):
    api.call("PATCH", "/api/v1/users/@me", user["access_token"], data=b'{"display_name":"first","display_name":"last"}',
             headers={"Content-Type": "application/json"})
    assert api.me(user["access_token"]).json()["data"]["display_name"] == "last"


@pytest.mark.parametrize("login", [
    "99999999999999999999", "-1", "0", "1e3", "0x1", "1.0", "%201", "%00", "%ff", "%", "%zz", "9223372036854775808",
    "-9223372036854775809", "%D9%A1", "a" * 300])
def test_ids_out_of_range(api, user, login):
    answer = api.call("DELETE", f"/api/v1/auth/logins/{login}", user["access_token"])
    assert answer.status_code == 400, answer.text
    assert answer.json()["status"] == 400
