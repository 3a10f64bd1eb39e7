"""What the deployment promises, from tables written by hand: who has which secret, who reaches whom, how each container
is confined, and that a service that is built is deployed everywhere. HELM names the program."""
import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/atrium"
SERVERS = {"nats": 4222, "postgres": 5432, "redis": 6379}
SERVICES = {"gateway", "auth", "chat", "events", "media", "transcode"}

# Written by hand: the secrets that each container may know.
SECRETS = {
    "gateway": {"JWT_SECRET", "GATEWAY_SIGNING_KEY", "GATEWAY_PUBLIC_KEY", "GATEWAY_NATS_PASSWORD", "REDIS_PASSWORD"},
    "auth": {"JWT_SECRET", "ADMIN_PASSWORD", "GATEWAY_PUBLIC_KEY", "AUTH_NATS_PASSWORD", "AUTH_DB_PASSWORD"},
    "chat": {"GATEWAY_PUBLIC_KEY", "CHAT_NATS_PASSWORD", "CHAT_DB_PASSWORD"},
    "events": {"EVENTS_TICKET_KEY", "GATEWAY_PUBLIC_KEY", "EVENTS_NATS_PASSWORD", "EVENTS_DB_PASSWORD"},
    "transcode": {"GATEWAY_PUBLIC_KEY", "TRANSCODE_NATS_PASSWORD", "TRANSCODE_DB_PASSWORD"},
    "media": {"MEDIA_TICKET_KEY", "WEBHOOK_KEY", "GATEWAY_PUBLIC_KEY", "MEDIA_NATS_PASSWORD", "MEDIA_DB_PASSWORD"},
    "migrate": {"POSTGRES_PASSWORD", "AUTH_DB_PASSWORD", "CHAT_DB_PASSWORD", "MEDIA_DB_PASSWORD",
                "TRANSCODE_DB_PASSWORD", "EVENTS_DB_PASSWORD"},
    "bus-setup": {"OPS_NATS_PASSWORD"},
    "nats": {"OPS_NATS_PASSWORD", "GATEWAY_NATS_PASSWORD", "AUTH_NATS_PASSWORD", "MEDIA_NATS_PASSWORD",
             "CHAT_NATS_PASSWORD", "TRANSCODE_NATS_PASSWORD", "EVENTS_NATS_PASSWORD"},
    "postgres": {"POSTGRES_PASSWORD"},
    "redis": {"REDIS_PASSWORD"},
    "caddy": set(),
    "atrium": {"OPS_NATS_PASSWORD"},
}
ALL_SECRETS = set().union(*SECRETS.values())
# Who opens connections to whom; None is anyone.
REACHES = {
    (None, "gateway", 8080),
    ("gateway", "nats", 4222), ("auth", "nats", 4222), ("test", "nats", 4222),
    ("media", "nats", 4222), ("media", "postgres", 5432), ("gateway", "media", 8081),
    ("chat", "nats", 4222), ("chat", "postgres", 5432),
    ("events", "nats", 4222), ("events", "postgres", 5432), ("gateway", "events", 8081),
    ("transcode", "nats", 4222), ("transcode", "postgres", 5432),
    ("auth", "postgres", 5432), ("migrate", "postgres", 5432), ("migrate", "nats", 4222),
    ("gateway", "redis", 6379),
}


def lines(*command):
    return subprocess.run([str(ROOT / command[0]), *command[1:]], stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")


SECRET_VALUES = dict(line.split("=", 1) for line in lines("deploy/compose/init-env", "--secrets") if line)


def helm(tmp_path, values, *options):
    """The chart's objects."""
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(values))
    done = subprocess.run([os.environ["HELM"], "template", "r", str(CHART), "-f", str(file), "--kube-version", "1.33.0", *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return [d for d in yaml.safe_load_all(done.stdout) if d]


TRIAL = {"secret": {"values": SECRET_VALUES}}
OUTSIDE = {"secret": {"existing": "own"}, "nats": {"enabled": False, "url": "tls://bus.example.org:4222"},
           "postgres": {"enabled": False, "host": "db.example.org"}, "redis": {"enabled": False, "address": "c.example.org:6380"}}


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return helm(tmp_path_factory.mktemp("trial"), TRIAL)


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())["services"]


def pods(objects):
    """(component, labels, pod spec) of everything that runs."""
    for o in objects:
        if o["kind"] == "Pod":
            yield o["metadata"]["labels"]["app.kubernetes.io/component"], o["metadata"]["labels"], o["spec"]
        elif "template" in o.get("spec", {}):
            labels = o["spec"]["template"]["metadata"]["labels"]
            yield labels["app.kubernetes.io/component"], labels, o["spec"]["template"]["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


# ------------------------------------------------------------------------------------------ a row everywhere
def test_every_service_has_its_rows_everywhere(compose, trial):
    built = {p.parent.name for p in ROOT.glob("services/*/service.mk")}
    targets = set(re.findall(r"^FROM base AS (\w+)$", (ROOT / "deploy/docker/Dockerfile").read_text(), re.M))
    assert built == SERVICES
    assert targets == built | {"tools"}
    assert built <= set(compose)
    assert built == set(yaml.safe_load((CHART / "files/services.yaml").read_text()))
    assert built == set(yaml.safe_load((CHART / "values.yaml").read_text())["services"])
    assert built == set(json.loads((CHART / "values.schema.json").read_text())["properties"]["services"]["properties"])
    assert built <= {name for name, _, _ in pods(trial)}


def test_versions_are_the_repositorys():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == (ROOT / "VERSION").read_text().strip()


def test_every_bus_user_has_a_password_everywhere(compose):
    users = set(re.findall(r"password: \$(\w+)", (ROOT / "build/gen/nats-permissions.conf").read_text()))
    assert users == {k for k in SECRET_VALUES if k.endswith("_NATS_PASSWORD")}
    assert users <= set(compose["nats"]["environment"])


def test_all_secrets_are_checked_before_the_start(compose):
    assert ALL_SECRETS == set(SECRET_VALUES) == set(compose["prepare"]["environment"])


def test_the_example_names_every_variable():
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "deploy/compose/compose.yaml").read_text()))
    said = set(re.findall(r"^(\w+)=", (ROOT / "deploy/compose/.env.example").read_text(), re.M))
    assert said <= used
    # Decided by the build, or only for a deployment that is unusual.
    assert used - said == {"ATRIUM_COMMIT", "ATRIUM_BUILD_DATE", "RATE_LIMITS", "TRUSTED_PROXY_CIDRS"}


def test_services_are_given_settings_that_exist(compose, trial):
    known = set()
    for file in [ROOT / "shared/settings.def", *ROOT.glob("shared/settings_*.def"), *ROOT.glob("services/*/settings*.def")]:
        known |= set(re.findall(r'^SETTING\(\w+, \w+, "(\w+)"', file.read_text(), re.M))
    helpers = {"DB_PASSWORD", "REDIS_PASSWORD"}  # Kubernetes puts them into the addresses
    for name in SERVICES:
        assert set(compose[name]["environment"]) <= known
    for name, _, spec in pods(trial):
        if name in SERVICES:
            assert {e["name"] for e in spec["containers"][0]["env"]} <= known | helpers


# ------------------------------------------------------------------------------------------ secrets
@pytest.mark.parametrize("name", sorted(SECRETS))
def test_secrets_in_compose(compose, name):
    given = " ".join(str(v) for v in (compose[name].get("environment") or {}).values())
    assert set(re.findall(r"\$\{(\w+)", given)) & ALL_SECRETS == SECRETS[name]


@pytest.mark.parametrize("name", sorted(set(SECRETS) - {"atrium", "caddy", "bus-setup"}))
def test_secrets_in_the_chart(trial, name):
    spec = next(spec for component, _, spec in pods(trial) if component == name)
    keys = {e["valueFrom"]["secretKeyRef"]["key"] for c in containers(spec) for e in c.get("env", []) if "valueFrom" in e}
    # In the chart the streams are made by the same pod, before the schemas.
    assert keys == SECRETS[name] | (SECRETS["bus-setup"] if name == "migrate" else set())
    assert not any("secret" in v for v in spec.get("volumes", []))


def test_no_secret_stands_outside_the_secret(trial):
    for o in trial:
        if o["kind"] != "Secret":
            text = json.dumps(o)
            assert not [k for k, v in SECRET_VALUES.items() if v in text], o["metadata"]["name"]


# ------------------------------------------------------------------------------------------ the network
def selects(selector, labels):
    assert set(selector) <= {"matchLabels"}
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())


def allowed(policies, direction, labels, port, other):
    """By Kubernetes' rules: free unless a policy selects the pod; then one of them must let it through. `other` is the
    peer's labels, None for somebody outside."""
    mine = [p["spec"] for p in policies if selects(p["spec"]["podSelector"], labels) and direction in p["spec"]["policyTypes"]]
    key, side = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    for rule in (r for p in mine for r in p.get(key, [])):
        if "ports" in rule and port not in [p["port"] for p in rule["ports"]]:
            continue
        if side not in rule:
            return True
        if other is not None and any("podSelector" in p and "namespaceSelector" not in p and selects(p["podSelector"], other)
                                     for p in rule[side]):
            return True
    return not mine


def test_who_reaches_whom(trial):
    policies = [o for o in trial if o["kind"] == "NetworkPolicy"]
    labels = {name: found for name, found, _ in pods(trial)}
    ports = [*SERVERS.values(), 8080, 8081, 8100, 8222]
    found = set()
    for to in labels:
        for port in ports:
            if allowed(policies, "Ingress", labels[to], port, None):
                found.add((None, to, port))
            for source in labels:
                if (allowed(policies, "Egress", labels[source], port, labels[to])
                        and allowed(policies, "Ingress", labels[to], port, labels[source])):
                    found.add((source, to, port))
    assert found == REACHES


def test_nobody_reaches_the_world(trial):
    policies = [o for o in trial if o["kind"] == "NetworkPolicy"]
    for _, labels, _ in pods(trial):
        assert not any(allowed(policies, "Egress", labels, port, None) for port in (80, 443, 8080, 5432))


def test_servers_outside_are_reached_by_who_needs_them(tmp_path):
    objects = helm(tmp_path, OUTSIDE)
    policies = [o for o in objects if o["kind"] == "NetworkPolicy"]
    labels = {name: found for name, found, _ in pods(objects)}
    reach = {(name, port) for name in labels for port in (4222, 5432, 6379, 6380, 443)
             if allowed(policies, "Egress", labels[name], port, None)}
    assert reach == {("gateway", 4222), ("gateway", 6380), ("auth", 4222), ("auth", 5432), ("chat", 4222), ("chat", 5432), ("events", 4222), ("events", 5432), ("media", 4222), ("media", 5432), ("transcode", 4222), ("transcode", 5432), ("migrate", 5432), ("migrate", 4222),
                     ("test", 4222)}


def test_networks_in_compose(compose):
    found = {name: set(s.get("networks", [])) for name, s in compose.items() if name != "prepare"}
    assert compose["prepare"]["network_mode"] == "none"
    assert found == {"caddy": {"edge"}, "gateway": {"edge", "bus"}, "auth": {"bus", "database"},
                     "chat": {"bus", "database"}, "events": {"bus", "database"}, "media": {"bus", "database"}, "transcode": {"bus", "database"}, "nats": {"bus"},
                     "redis": {"bus"}, "postgres": {"database"}, "migrate": {"database"}, "bus-setup": {"bus"},
                     "atrium": {"bus"}}
    assert {name for name, s in compose.items() if "ports" in s} == {"caddy"}


# ------------------------------------------------------------------------------------------ confinement
def test_every_container_is_restricted(trial):
    for name, _, spec in pods(trial):
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True and pod["runAsUser"] > 0 and pod["seccompProfile"]["type"] == "RuntimeDefault"
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False, name
        assert not any(spec.get(k) for k in ("hostNetwork", "hostPID", "hostIPC"))
        for c in containers(spec):
            security = c["securityContext"]
            assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert c["resources"]["limits"]["memory"] and c["resources"]["requests"]["cpu"]
            assert ":" in c["image"] and not c["image"].endswith(":latest")


def test_probes(trial):
    for name, _, spec in pods(trial):
        for c in spec["containers"]:
            wanted = name not in ("migrate", "test")
            assert ("readinessProbe" in c, "livenessProbe" in c) == (wanted, wanted), name
            if name in SERVICES:
                assert c["readinessProbe"]["httpGet"]["path"] == "/readyz" and c["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_every_compose_service_is_confined(compose):
    for name, s in compose.items():
        assert s["read_only"] is True and s["cap_drop"] == ["ALL"] and s["security_opt"] == ["no-new-privileges:true"], name
        assert s.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])
        assert s["logging"]["options"]["max-size"] and not s["image"].endswith(":latest")
        if name not in ("prepare", "migrate", "bus-setup", "atrium"):
            assert s["restart"] == "unless-stopped" and s["mem_limit"]


def test_the_start_waits_for_health(compose):
    needs = {name: {k: v["condition"] for k, v in s.get("depends_on", {}).items()} for name, s in compose.items()}
    ended, healthy = "service_completed_successfully", "service_healthy"
    assert needs == {
        "prepare": {}, "atrium": {}, "postgres": {"prepare": ended}, "redis": {"prepare": ended}, "nats": {"prepare": ended},
        "migrate": {"postgres": healthy}, "bus-setup": {"nats": healthy}, "auth": {"migrate": ended, "bus-setup": ended},
        "chat": {"migrate": ended, "bus-setup": ended}, "events": {"migrate": ended, "bus-setup": ended}, "media": {"migrate": ended, "bus-setup": ended}, "transcode": {"migrate": ended, "bus-setup": ended},
        "gateway": {"auth": healthy, "events": healthy, "media": healthy, "nats": healthy, "redis": healthy}, "caddy": {"gateway": healthy},
    }


# ------------------------------------------------------------------------------------------ migrations
@pytest.mark.parametrize("values, options, hooks", [
    (TRIAL, [], None),
    (TRIAL, ["--is-upgrade"], "pre-install,pre-upgrade"),
    (OUTSIDE, [], "pre-install,pre-upgrade"),
], ids=["first installation, bundled", "upgrade, bundled", "outside"])
def test_when_migrations_run(tmp_path, values, options, hooks):
    job = next(o for o in helm(tmp_path, values, *options) if o["kind"] == "Job")
    assert (job["metadata"].get("annotations") or {}).get("helm.sh/hook") == hooks
    if hooks:  # nothing of the release is there yet
        assert "serviceAccountName" not in job["spec"]["template"]["spec"]


def test_outside_servers_leave_none_in_the_chart(tmp_path):
    kinds = {o["kind"] for o in helm(tmp_path, OUTSIDE)}
    assert "StatefulSet" not in kinds and "Secret" not in kinds


# ------------------------------------------------------------------------------------------ what is refused
@pytest.mark.parametrize("change, words", [
    ({"secret": {"values": {}}}, "is needed"),
    ({"secret": {"values": {**SECRET_VALUES, "ADMIN_PASSWORD": "CHANGE_ME_CHANGE_ME"}}}, "still CHANGE_ME"),
    ({"secret": {"values": {**SECRET_VALUES, "AUTH_NATS_PASSWORD": "5e35e35e35e35e35e3"}}}, "AUTH_NATS_PASSWORD"),
    ({"secret": {"values": {**SECRET_VALUES, "GATEWAY_SIGNING_KEY": "short"}}}, "GATEWAY_SIGNING_KEY"),
    ({"secret": {"existing": "own", "values": SECRET_VALUES}}, "exclude each other"),
    ({**TRIAL, "postgres": {"enabled": False, "host": "db"}}, "secret.existing is needed"),
    ({**OUTSIDE, "postgres": {"enabled": False}}, "postgres.host is needed"),
    ({**OUTSIDE, "nats": {"enabled": False}}, "nats.url is needed"),
    ({**TRIAL, "replicas": 3}, "replicas"),
    ({**TRIAL, "services": {"chatter": {"replicas": 1}}}, "chatter"),
    ({**TRIAL, "services": {"auth": {"replicas": "two"}}}, "replicas"),
    ({**TRIAL, "services": {"auth": {"settings": {"lower": "x"}}}}, "settings"),
    ({**TRIAL, "image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    ({**TRIAL, "postgres": {"storage": {"size": "ten"}}}, "size"),
    ({**TRIAL, "ingress": {"enable": True}}, "enable"),
])
def test_wrong_values_are_refused(tmp_path, change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        helm(tmp_path, change)
