"""Mail over HTTP: what is sent arrives at a stand-in for an SMTP server, encrypted, once, whatever becomes of the server;
and without one everything says so."""
import secrets
import statistics
import time

import pytest

from api import PASSWORD, Api
from polling import PATIENCE, poll
from stack import Stack
from standin_smtp import PASSWORD as MAIL_PASSWORD
from standin_smtp import USER, StandinSmtp, make_certificate

pytestmark = pytest.mark.local
ACCOUNT, VERIFY, RESET = "/api/v1/auth/account", "/api/v1/auth/email/verify", "/api/v1/auth/password/reset"
SEND, ASK = "/api/v1/auth/email/verification", "/api/v1/auth/password/reset-request"
NEW = "another good password"
SOON = 4 * PATIENCE


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("smtp"))


@pytest.fixture(scope="module")
def smtp(certificate):
    server = StandinSmtp(*certificate)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def mailing(smtp, certificate):
    """A stack of its own, which sends mail. Two of auth: one of them sends."""
    own = Stack(settings={"SMTP_HOST": "localhost", "SMTP_PORT": str(smtp.port), "SMTP_CA_FILE": str(certificate[0]),
                          "SMTP_USER": USER, "SMTP_PASSWORD": MAIL_PASSWORD, "SMTP_FROM": "atrium@example.org",
                          "MAIL_INTERVAL": "50ms", "MAIL_RETRY": "100ms", "PUBLIC_URL": "https://atrium.example"})
    try:
        own.up()
        yield own
    finally:
        own.destroy()


@pytest.fixture
def mail_api(mailing, smtp):
    smtp.offers_tls, smtp.busy = True, False
    return Api(mailing.url)


@pytest.fixture
def address(name):
    return f"{name}@example.org"


def only_mail(smtp, address):
    """The one mail for this address, once it is there."""
    poll(lambda: smtp.to(address), SOON, f"mail for {address}")
    (mail,) = smtp.to(address)
    return mail


def admin_token(stack):
    name = "m" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return Api(stack.url).login(name).json()["access_token"]


# ---------------------------------------------------------------------------------------------- what is sent
def test_an_address_is_verified_by_the_mail_to_it(mail_api, smtp, name, address):
    user = mail_api.register(username=name, email=address)
    mail = only_mail(smtp, address)
    assert mail.encrypted and mail.user == USER and mail.sender == "<atrium@example.org>"
    head = mail.message
    assert (head["To"], head["From"]) == (address, "atrium@example.org")
    assert head["Auto-Submitted"] == "auto-generated" and head["Message-ID"].endswith("@example.org>")
    assert head["Date"] and head["Subject"] and head.get_content_charset() == "utf-8"
    assert f"https://atrium.example/verify-email?token={mail.token}" in mail.text and name in mail.text
    assert mail_api.get(ACCOUNT, user["access_token"]).json()["email_verified"] is False
    assert mail_api.post(VERIFY, {"token": mail.token}).status_code == 200
    account = mail_api.get(ACCOUNT, user["access_token"]).json()
    assert (account["email"], account["email_verified"], account["has_password"]) == (address, True, True)
    again = mail_api.post(VERIFY, {"token": mail.token})
    assert again.status_code == 400 and again.json()["code"] == "INVALID_LINK", again.text


def test_a_new_address_takes_the_password_and_its_own_mail(mail_api, smtp, name, address):
    user = mail_api.register(username=name)
    token = user["access_token"]
    refused = mail_api.call("PATCH", ACCOUNT, token, json={"email": address})
    assert refused.status_code == 403, refused.text
    changed = mail_api.call("PATCH", ACCOUNT, token, json={"email": address, "password": PASSWORD})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["email"], changed.json()["pending_email"], changed.json()["mail_sent"]) == (None, address, True)
    assert mail_api.login(address).status_code == 401
    assert mail_api.post(VERIFY, {"token": only_mail(smtp, address).token}).status_code == 200
    assert mail_api.login(address).status_code == 200
    nothing = mail_api.post(SEND, token=token)
    assert nothing.status_code == 400, nothing.text


def test_a_reset_ends_what_there_was(mail_api, smtp, name, address):
    user = mail_api.register(username=name, email=address)
    only_mail(smtp, address)
    assert mail_api.post(ASK, {"email": address.upper()}).status_code == 202
    mail = poll(lambda: smtp.to(address.upper()), SOON, "the mail of the reset")[0]
    assert mail_api.post(RESET, {"token": mail.token, "new_password": "short"}).status_code == 400
    assert mail_api.post(RESET, {"token": mail.token, "new_password": NEW}).status_code == 200
    poll(lambda: mail_api.me(user["access_token"]).status_code == 401, 1.0 * PATIENCE, "the end of the login")
    assert mail_api.login(name).status_code == 401
    assert mail_api.login(name, NEW).status_code == 200
    assert mail_api.post(RESET, {"token": mail.token, "new_password": NEW}).status_code == 400


def test_an_invitation_arrives(mailing, mail_api, smtp, name, address):
    made = mail_api.post("/api/v1/admin/users", {"username": name, "email": address, "role": "viewer"},
                         admin_token(mailing))
    assert made.status_code == 201 and made.json()["invitation_sent"] is True, made.text
    mail = only_mail(smtp, address)
    assert made.json()["invitation_url"] in mail.text
    accepted = mail_api.post("/api/v1/accept-invitation", {"token": mail.token, "password": "Correct horse 9!"})
    assert accepted.status_code == 200, accepted.text


# ---------------------------------------------------------------------------------------------- who is not there
def test_an_unknown_address_gets_the_same_answer_in_the_same_time(mail_api, smtp):
    """Pairs, interleaved, so that whatever else the machine does hits both."""
    known = [f"{secrets.token_hex(6)}@example.org" for _ in range(40)]
    for address in known:
        mail_api.register(email=address)
    times, bodies = ([], []), set()
    for address in known:
        for i, asked in enumerate((address, f"{secrets.token_hex(6)}@example.org")):
            begun = time.monotonic()
            answer = mail_api.post(ASK, {"email": asked})
            times[i].append(time.monotonic() - begun)
            bodies.add((answer.status_code, answer.content))
    assert len(bodies) == 1
    ratio = statistics.median(times[0]) / statistics.median(times[1])
    assert 1 / 3 < ratio < 3  # a hash or a mail on the way of one would be far more; the bench compares closely
    poll(lambda: all(len(smtp.to(address)) == 2 for address in known), SOON, "all mails")
    assert {m.recipients[0].strip("<>") for m in smtp.mails if "new password" in m.message["Subject"]} >= set(known)


@pytest.mark.parametrize("address", ["a@example.org\r\nBcc: b@example.org", "a@example.org>\r\nRCPT TO:<b@example.org",
                                     "a@b@c", "nothing"])
def test_no_address_brings_another_one_along(mail_api, address):
    answer = mail_api.post(ASK, {"email": address})
    assert answer.status_code == 400, answer.text


# ---------------------------------------------------------------------------------------------- servers
def test_nothing_goes_out_unencrypted(mailing, mail_api, smtp, name, address):
    smtp.offers_tls = False
    before = len(smtp.mails)
    mail_api.register(username=name, email=address)
    poll(lambda: "mail_failed" in mailing.log("auth"), SOON, "a failed try")
    assert len(smtp.mails) == before
    smtp.offers_tls = True
    assert only_mail(smtp, address).encrypted


def test_a_server_that_is_busy_gets_the_mail_later_and_once(mail_api, smtp, name, address):
    smtp.busy = True
    mail_api.register(username=name, email=address)
    smtp.busy = False
    only_mail(smtp, address)


def test_a_restart_of_auth_loses_no_mail(mailing, mail_api, smtp, name, address):
    smtp.busy = True
    mail_api.register(username=name, email=address)
    mailing.atrium("restart", "auth")
    assert smtp.to(address) == []
    smtp.busy = False
    only_mail(smtp, address)


# ---------------------------------------------------------------------------------------------- without a server
def test_without_a_server_everything_says_so_and_administrators_get_links(api, stack, name, address):
    user = api.register(username=name, email=address)
    for path, body, token in ((ASK, {"email": address}, None), (ASK, {"email": "x" + address}, None),
                              (SEND, {}, user["access_token"])):
        answer = api.post(path, body, token)
        assert answer.status_code == 503 and answer.json()["code"] == "MAIL_NOT_CONFIGURED", answer.text
    admin = admin_token(stack)
    link = api.post(f"/api/v1/auth/users/{user['user']['id']}/reset-link", token=admin)
    assert link.status_code == 200, link.text
    assert api.post(f"/api/v1/auth/users/{user['user']['id']}/reset-link", token=user["access_token"]).status_code == 403
    token = link.json()["url"].split("/reset-password?token=")[1]
    assert api.post(RESET, {"token": token, "new_password": NEW}).status_code == 200
    assert api.login(name, NEW).status_code == 200
