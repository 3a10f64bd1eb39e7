"""Every credential of the bus against every class of subject, every role of the database against every schema. What is
expected is written by hand: by what a credential is for (DESIGN sections 3 and 11), not by what the generator makes."""
import re

import psycopg2
import pytest

from stack import ROOT

pytestmark = pytest.mark.local

# ------------------------------------------------------------------------------------------------------- the bus
# One letter per credential: y may, n may not. A new service adds a column; the test below says so when it is missing.
USERS = ("auth", "gateway", "ops", "reader", "keeper", "media", "transcode", "chat", "events")

# A subject of the class, what it stands for, who may publish to it.
PUBLISH = [
    # requests
    ("rpc.main.auth.v1.Nothing", "a request as the gateway", "n y n n n n n n n"),
    ("rpc.green.chat.v1.Nothing", "… in another slot, of another domain", "n y n n n n n n n"),
    ("svc.main.auth.chat.v1.Nothing", "a request as auth, to a domain that it does not depend on", "n n n n n n n n n"),
    ("svc.main.auth.auth.v1.Nothing", "… to itself", "n n n n n n n n n"),
    ("svc.main.gateway.auth.v1.Nothing", "a service's request as the gateway", "n n n n n n n n n"),
    ("svc.main.ops.auth.v1.Nothing", "a request as the operator", "n n y n n n n n n"),
    ("svc.main.reader.auth.v1.Nothing", "a request as an outside subscriber", "n n n n n n n n n"),
    # replies
    ("_INBOX.gateway.auth.i.1", "auth's answer to the gateway", "y n n n n n n n n"),
    ("_INBOX.chat.auth.i.1", "auth's answer to a service", "y n n n n n n n n"),
    ("_INBOX.gateway.chat.i.1", "somebody else's answer to the gateway", "n n n n n n n y n"),
    ("_INBOX.auth.gateway.i.1", "an answer as the gateway", "n n n n n n n n n"),
    ("_INBOX.ops.auth.i.1", "an answer to the operator", "y y n n n y y y y"),
    ("_INBOX.reader.events", "an event, made up, to an outside subscriber", "n n n n n n n n n"),
    # events, dispatches, jobs
    ("evt.auth.nothing.happened.1", "auth's event", "y n n n n n n n n"),
    ("evt.chat.nothing.happened.1", "another domain's event", "n n n n n n n y n"),
    ("dsp.auth.nothing", "auth's dispatch", "y n n n n n n n n"),
    ("dsp.chat.nothing", "another domain's dispatch", "n n n n n n n y n"),
    ("job.auth.nothing", "a job for auth (ops: to replay the dead)", "y n y n n n n n n"),
    ("job.chat.nothing", "a job for another domain", "n n y n n n n y n"),
    ("dead.auth.nothing", "a dead job of auth", "y n n n n n n n n"),
    ("dead.chat.nothing", "a dead job of another domain", "n n n n n n n y n"),
    ("svc.main.media.auth.v1.Nothing", "media's request to auth, on which it depends", "n n n n n y n n n"),
    ("svc.main.media.transcode.v1.Nothing", "… to transcode, on which it does not", "n n n n n n n n n"),
    ("svc.main.transcode.auth.v1.Nothing", "transcode's request to auth", "n n n n n n y n n"),
    ("svc.main.chat.auth.v1.Nothing", "chat's request to auth", "n n n n n n n y n"),
    ("svc.main.media.chat.v1.Nothing", "media's request to chat, which it asks of attachments", "n n n n n y n n n"),
    ("svc.main.events.auth.v1.Nothing", "events' request to auth", "n n n n n n n n y"),
    ("svc.main.events.chat.v1.Nothing", "… to chat, where events are announced", "n n n n n n n n y"),
    ("svc.main.events.media.v1.Nothing", "… to media, on which it does not depend", "n n n n n n n n n"),
    ("evt.events.nothing.happened.1", "events' event", "n n n n n n n n y"),
    ("job.events.nothing", "a job for events (ops: to replay the dead)", "n n y n n n n n y"),
    ("$JS.API.CONSUMER.MSG.NEXT.JOBS_EVENTS.c", "taking a job of events", "n n y n n n n n y"),
    ("evt.media.nothing.happened.1", "media's event", "n n n n n y n n n"),
    ("evt.transcode.nothing.happened.1", "transcode's event", "n n n n n n y n n"),
    ("job.transcode.nothing", "a job for transcode, which makes its own (ops: to replay the dead)", "n n y n n n y n n"),
    ("$JS.API.CONSUMER.CREATE.EVT_MEDIA", "a consumer of media's events", "n n y n n y y n n"),
    ("$JS.API.CONSUMER.CREATE.EVT_TRANSCODE", "a consumer of transcode's", "n n y n n y y n n"),
    ("$JS.API.CONSUMER.MSG.NEXT.JOBS_TRANSCODE.c", "taking a job of transcode", "n n y n n n y n n"),
    # discovery
    ("$SRV.PING", "a question to all services", "n n y n n n n n n"),
    ("$SRV.INFO.auth", "a question to one", "n n y n n n n n n"),
    # JetStream
    ("$JS.API.INFO", "the account's state", "y y y n n y y y y"),
    ("$JS.API.STREAM.INFO.EVT_AUTH", "a stream's state", "y y y n n y y y y"),
    ("$JS.API.STREAM.INFO.EVT_CHAT", "another domain's, which media hears", "n n y n n y n y n"),
    ("$JS.API.STREAM.CREATE.EVT_AUTH", "making auth's stream, which could take any subject", "n n y n n n n n n"),
    ("$JS.API.STREAM.UPDATE.EVT_AUTH", "letting it take other subjects", "n n y n n n n n n"),
    ("$JS.API.STREAM.CREATE.DSP_AUTH", "making another of auth's", "n n y n n n n n n"),
    ("$JS.API.STREAM.UPDATE.JOBS_AUTH", "changing another of auth's", "n n y n n n n n n"),
    # By ops it succeeds: of the streams that no test reads.
    ("$JS.API.STREAM.DELETE.DSP_AUTH", "deleting auth's stream", "n n y n n n n n n"),
    ("$JS.API.STREAM.RESTORE.EVT_AUTH", "making it from a copy", "n n y n n n n n n"),
    ("$JS.API.STREAM.SNAPSHOT.EVT_AUTH", "a copy of it, to any subject", "n n y n n n n n n"),
    ("$JS.API.STREAM.CREATE.EVT_CHAT", "making another domain's stream", "n n y n n n n n n"),
    ("$JS.API.STREAM.CREATE.NOBODYS", "making any stream", "n n y n n n n n n"),
    ("$JS.API.STREAM.DELETE.EVT_CHAT", "deleting a stream of another domain", "n n y n n n n n n"),
    ("$JS.API.STREAM.PURGE.EVT_CHAT", "emptying it", "n n y n n n n n n"),
    ("$JS.API.STREAM.PURGE.EVT_AUTH", "emptying auth's", "n n y n n n n n n"),
    ("$JS.API.STREAM.PURGE.DSP_AUTH", "skipping numbers of auth's dispatches", "y n y n n n n n n"),
    ("$JS.API.STREAM.PURGE.DSP_CHAT", "… of another domain's", "n n y n n n n y n"),
    ("$JS.API.STREAM.MSG.DELETE.DEAD_AUTH", "dropping a dead job of auth", "y n y n n n n n n"),
    ("$JS.API.STREAM.MSG.DELETE.EVT_AUTH", "taking back an event of auth", "n n y n n n n n n"),
    ("$JS.API.STREAM.MSG.GET.EVT_AUTH", "reading auth's events", "y y y n n y y y y"),
    ("$JS.API.STREAM.MSG.GET.EVT_CHAT", "reading another domain's, which media hears", "n n y n n y n y n"),
    ("$JS.API.STREAM.MSG.GET.JOBS_AUTH", "reading auth's jobs", "y n y n n n n n n"),
    ("$JS.API.CONSUMER.CREATE.EVT_AUTH", "a consumer of auth's events", "y y y n n y y y y"),
    ("$JS.API.CONSUMER.CREATE.EVT_AUTH.keeper.evt.auth.user.>", "… an outside subscriber's, by himself", "y y y n n y y y y"),
    ("$JS.API.CONSUMER.CREATE.EVT_CHAT", "a consumer of another domain's, which media hears", "n n y n n y n y n"),
    ("$JS.API.CONSUMER.CREATE.JOBS_CHAT", "a consumer of another domain's jobs", "n n y n n n n y n"),
    ("$JS.API.STREAM.MSG.GET.DSP_CHAT", "reading what chat's clients are told", "n y y n n n n y n"),
    ("$JS.API.CONSUMER.CREATE.DSP_CHAT", "following it", "n y y n n n n y n"),
    ("$JS.API.CONSUMER.DURABLE.CREATE.DSP_CHAT.c", "… by a consumer that stays", "n n y n n n n y n"),
    ("$JS.FC.DSP_CHAT.c.1", "… at one's own pace", "n y y n n n n y n"),
    ("$JS.API.CONSUMER.DELETE.EVT_CHAT.c", "deleting another domain's consumer, which media hears", "n n y n n y n y n"),
    ("$JS.API.CONSUMER.MSG.NEXT.JOBS_CHAT.c", "taking another domain's job", "n n y n n n n y n"),
    ("$JS.ACK.EVT_AUTH.keeper.1.9.9.1.0", "acknowledging the outside subscriber's event", "y n y n y y y y y"),
    ("$JS.ACK.EVT_AUTH.other.1.9.9.1.0", "acknowledging somebody else's", "y n y n n y y y y"),
    ("$JS.ACK.JOBS_CHAT.c.1.9.9.1.0", "acknowledging another domain's job", "n n y n n n n y n"),
    ("$JS.API.STREAM.MSG.GET.KV_atrium", "reading which slot is active", "y y y n n y y y y"),
    ("$KV.atrium.slot", "changing which slot is active", "n n y n n n n n n"),
    # the server's own
    ("$SYS.REQ.SERVER.PING", "asking the server for its state", "n n n n n n n n n"),
    ("nothing.in.particular", "anything else", "n n n n n n n n n"),
]

SUBSCRIBE = [
    ("rpc.main.auth.> auth", "serving auth's requests", "y n n n n n n n n"),
    ("rpc.main.auth.>", "a wire-tap of them", "n n n n n n n n n"),
    ("rpc.main.auth.> other", "… in a group beside", "n n n n n n n n n"),
    ("rpc.main.chat.> chat", "serving another domain's requests", "n n n n n n n y n"),
    ("rpc.> auth", "serving everybody's", "n n n n n n n n n"),
    ("svc.main.*.auth.> auth", "serving what services ask of auth", "y n n n n n n n n"),
    ("svc.main.*.chat.> chat", "… of another domain", "n n n n n n n y n"),
    ("rpc.main.media.> media", "serving media's requests", "n n n n n y n n n"),
    ("rpc.main.events.> events", "serving events' requests", "n n n n n n n n y"),
    ("rpc.main.transcode.> transcode", "serving transcode's", "n n n n n n y n n"),
    ("_INBOX.chat.>", "chat's answers", "n n n n n n n y n"),
    ("_INBOX.media.>", "media's answers", "n n n n n y n n n"),
    ("_INBOX.auth.>", "auth's answers", "y n n n n n n n n"),
    ("_INBOX.gateway.>", "the gateway's answers", "n y n n n n n n n"),
    ("_INBOX.ops.>", "the operator's answers", "n n y n n n n n n"),
    ("_INBOX.reader.>", "an outside subscriber's inbox", "n n n y n n n n n"),
    ("_INBOX.keeper.events", "an outside subscriber's events", "n n n n y n n n n"),
    ("_INBOX.>", "everybody's answers", "n n n n n n n n n"),
    ("evt.auth.user.>", "the events that an outside subscriber was granted", "n n n y y n n n n"),
    ("evt.auth.user.registered.*", "a part of them", "n n n y y n n n n"),
    ("evt.auth.login.>", "others of that domain", "n n n n n n n n n"),
    ("evt.auth.>", "all of that domain", "n n n n n n n n n"),
    ("evt.chat.>", "another domain's", "n n n n n n n n n"),
    ("evt.>", "everybody's", "n n n n n n n n n"),
    ("dsp.auth.>", "dispatches, past the stream", "n n n n n n n n n"),
    ("job.auth.>", "jobs, past the stream", "n n n n n n n n n"),
    ("dead.auth.>", "dead jobs", "n n n n n n n n n"),
    ("$SRV.PING", "being asked who is there", "y y n n n y y y y"),
    ("$SRV.STATS.auth", "being asked as auth", "y n n n n n n n n"),
    ("$SRV.STATS.gateway", "being asked as the gateway", "n y n n n n n n n"),
    ("$SRV.>", "listening to all such questions", "n n n n n n n n n"),
    ("$JS.API.>", "listening to JetStream's requests", "n n n n n n n n n"),
    ("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.JOBS_AUTH.>", "that a job of auth died", "y n n n n n n n n"),
    ("$JS.EVENT.ADVISORY.>", "everything that JetStream tells", "n n n n n n n n n"),
    ("$KV.>", "changes of the slot, past the stream", "n n n n n n n n n"),
    ("$SYS.>", "the server's own", "n n n n n n n n n"),
    (">", "everything", "n n n n n n n n n"),
]


def cells(table):
    for subject, what, letters in table:
        assert len(letters.split()) == len(USERS), subject
        for user, letter in zip(USERS, letters.split()):
            yield pytest.param(user, subject, letter == "y", id=f"{user}-{subject} ({what})".replace("::", ":"))


def test_every_credential_is_in_the_matrix():
    generated = re.findall(r"^      user: (\S+)$", (ROOT / "build/gen/nats-permissions.conf").read_text(), re.M)
    assert set(generated) == set(USERS) - {"reader", "keeper"}, "a credential without a column in USERS"


@pytest.mark.parametrize("user, subject, allowed", cells(PUBLISH))
def test_publish(connect, user, subject, allowed):
    assert connect(user).denied_publish(subject) != allowed


@pytest.mark.parametrize("user, subject, allowed", cells(SUBSCRIBE))
def test_subscribe(connect, user, subject, allowed):
    name, _, queue = subject.partition(" ")
    assert connect(user).denied_subscribe(name, queue) != allowed


# -------------------------------------------------------------------------------------------------- the database
# One more service's schema, made as `atrium migrate` makes them.
OTHER_SERVICE = """
    CREATE ROLE atrium_other_owner NOLOGIN;
    CREATE SCHEMA other AUTHORIZATION atrium_other_owner;
    REVOKE ALL ON SCHEMA other FROM PUBLIC;
    SET ROLE atrium_other_owner;
    CREATE TABLE other.secret (id bigint, text text);
    RESET ROLE;
"""
ROLES = ("auth", "media", "transcode", "chat", "events")

# What is tried in a schema, and whether each of ROLES may do it there.
DATABASE = [
    ("SELECT id, username FROM auth.account LIMIT 1", "y n n n n"),
    ("INSERT INTO auth.account (id, username, display_name, created_at, updated_at)"
     " VALUES (-5, 'matrix', 'm', now(), now())", "y n n n n"),
    ("UPDATE auth.account SET display_name = 'x' WHERE id = -5", "y n n n n"),
    ("DELETE FROM auth.account WHERE id = -5", "y n n n n"),
    ("SELECT 1 FROM auth.outbox LIMIT 1", "y n n n n"),
    ("SELECT 1 FROM auth.schema_migration LIMIT 1", "y n n n n"),
    ("INSERT INTO auth.schema_migration (origin, number, name, checksum) VALUES ('auth', 99, 'x', 'x')", "n n n n n"),
    ("DELETE FROM auth.schema_migration", "n n n n n"),
    ("TRUNCATE auth.login CASCADE", "n n n n n"),
    ("CREATE TABLE auth.mine (id bigint)", "n n n n n"),
    ("CREATE INDEX mine ON auth.account (display_name)", "n n n n n"),
    ("ALTER TABLE auth.account ADD COLUMN mine text", "n n n n n"),
    ("ALTER TABLE auth.account DISABLE TRIGGER ALL", "n n n n n"),
    ("DROP TABLE auth.login", "n n n n n"),
    ("DROP SCHEMA auth CASCADE", "n n n n n"),
    ("CREATE FUNCTION auth.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "n n n n n"),
    ("SELECT 1 FROM media.item LIMIT 1", "n y n n n"),
    ("UPDATE media.item SET title = 'x' WHERE false", "n y n n n"),
    ("SELECT 1 FROM transcode.job LIMIT 1", "n n y n n"),
    ("DELETE FROM transcode.job WHERE false", "n n y n n"),
    ("SELECT 1 FROM chat.guild LIMIT 1", "n n n y n"),
    ("UPDATE chat.guild SET name = 'x' WHERE false", "n n n y n"),
    ("SELECT 1 FROM events.event LIMIT 1", "n n n n y"),
    ("UPDATE events.event SET name = 'x' WHERE false", "n n n n y"),
    ("CREATE TABLE events.mine (id bigint)", "n n n n n"),
    ("CREATE VIEW chat.mine AS SELECT 1", "n n n n n"),
    ("CREATE TABLE media.mine (id bigint)", "n n n n n"),
    ("TRUNCATE transcode.job CASCADE", "n n n n n"),
    ("SELECT 1 FROM other.secret", "n n n n n"),
    ("INSERT INTO other.secret VALUES (1, 'x')", "n n n n n"),
    ("DELETE FROM other.secret", "n n n n n"),
    ("CREATE TABLE other.mine (id bigint)", "n n n n n"),
    ("CREATE TABLE public.mine (id bigint)", "n n n n n"),
    ("CREATE TEMPORARY TABLE mine (id bigint)", "n n n n n"),
    ("CREATE SCHEMA mine", "n n n n n"),
    ("CREATE DATABASE mine", "n n n n n"),
    ("CREATE ROLE mine", "n n n n n"),
    ("CREATE EXTENSION pgcrypto", "n n n n n"),
    ("SET ROLE atrium_auth_owner", "n n n n n"),
    ("SET ROLE atrium_other_owner", "n n n n n"),
    ("SET ROLE atrium", "n n n n n"),
    ("ALTER ROLE atrium_auth SUPERUSER", "n n n n n"),
    ("SELECT rolpassword FROM pg_authid", "n n n n n"),
    ("SELECT pg_read_file('/etc/passwd')", "n n n n n"),
    ("COPY auth.account TO PROGRAM 'cat'", "n n n n n"),
    ("COPY (SELECT 1) TO '/tmp/atrium-matrix'", "n n n n n"),
    ("SELECT pg_reload_conf()", "n n n n n"),
]


@pytest.fixture(scope="module")
def database(stack):
    """Connects as a role; each statement is rolled back."""
    def connect(role, password, name="atrium"):
        connection = psycopg2.connect(host="127.0.0.1", port=stack.ports["PG_PORT"], user=role, password=password,
                                      dbname=name)
        connections.append(connection)
        return connection

    connections = []
    admin = connect("atrium", stack.secret("db_atrium"))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(OTHER_SERVICE)
    yield connect
    with admin.cursor() as cursor:
        cursor.execute("DROP SCHEMA other CASCADE; DROP ROLE atrium_other_owner")
    for connection in connections:
        connection.close()


def test_every_role_is_in_the_matrix(database, stack):
    with database("atrium", stack.secret("db_atrium")).cursor() as cursor:
        cursor.execute("SELECT rolname, rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR "
                       "rolreplication FROM pg_roles WHERE rolname LIKE 'atrium\\_%'")
        roles = {name: (login, mighty) for name, login, mighty in cursor.fetchall()}
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'")
        schemas = {name for name, in cursor.fetchall()}
    expected = {f"atrium_{r}": (True, False) for r in ROLES}
    expected.update({f"atrium_{r}_owner": (False, False) for r in (*ROLES, "other")})
    assert roles == expected
    assert schemas == {*ROLES, "other", "public"}


@pytest.mark.parametrize("role, statement, allowed", [
    pytest.param(role, statement, letter == "y", id=f"{role}-{statement}")
    for statement, letters in DATABASE for role, letter in zip(ROLES, letters.split())])
def test_statement(database, stack, role, statement, allowed):
    connection = database(f"atrium_{role}", stack.secret(f"db_{role}"))
    # Outside a transaction, which some of them refuse to run in, only what must fail is tried.
    connection.autocommit = not allowed
    with connection.cursor() as cursor:
        if allowed:
            cursor.execute(statement)
        else:
            with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.UndefinedFile)):
                cursor.execute(statement)
    connection.close()  # what was allowed is rolled back; there are more statements than connections


def test_other_databases_are_closed(database, stack):
    connection = database("atrium_auth", stack.secret("db_auth"), "postgres")
    connection.autocommit = True
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute("CREATE TABLE public.mine (id bigint)")


def test_owners_cannot_log_in(database):
    for password in ("", "x"):
        with pytest.raises(psycopg2.OperationalError):
            database("atrium_auth_owner", password)
