"""docs/adding-an-endpoint.md is followed to the letter on a copy of the tree: its blocks are applied, built and tested,
and the gateway that runs already serves the new rpc after SIGHUP.

A block whose info string is `LANG file=PATH` is that file's content; `LANG file=PATH append` goes to its end;
`LANG file=PATH after="TEXT"` goes behind the first line that holds TEXT; `bash run` is a command, run at the copy's top.
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from api import Api
from polling import poll
from stack import ROOT, Stack

pytestmark = pytest.mark.local
DOCUMENT = ROOT / "docs/adding-an-endpoint.md"


def blocks():
    """(language, {attribute: value}, text) of each fenced block that is to be applied, in order."""
    for info, text in re.findall(r"^```(\S.*?)\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S):
        language, _, rest = info.partition(" ")
        attributes = dict(re.findall(r'(\w+)=("[^"]*"|\S+)', rest))
        attributes.update({word: "" for word in re.sub(r'\w+=("[^"]*"|\S+)', "", rest).split()})
        if "file" in attributes or "run" in attributes:
            yield language, {k: v.strip('"') for k, v in attributes.items()}, text


def apply(tree, attributes, text):
    path = tree / attributes["file"]
    path.parent.mkdir(parents=True, exist_ok=True)
    if "append" in attributes:
        path.write_text(path.read_text() + text)
    elif "after" in attributes:
        lines = path.read_text().splitlines(keepends=True)
        at = next((i for i, line in enumerate(lines) if attributes["after"] in line), None)
        assert at is not None, f"{path}: no line holds {attributes['after']!r}"
        path.write_text("".join(lines[:at + 1]) + text + "".join(lines[at + 1:]))
    else:
        path.write_text(text)


def make(tree, *words):
    # What is built anew is not optimised: it need not be fast, only made fast.
    done = subprocess.run(["make", "-j2", "CFLAGS_release=-O0 -g -fPIE", *words], cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, env={**os.environ, "MAKEFLAGS": ""})
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    copy = tmp_path_factory.mktemp("tree") / "atrium"

    def leave_out(folder, names):
        in_build = pathlib.Path(folder) == ROOT / "build"
        others = {"bin", "gen", "obj"} if in_build else set()
        return [n for n in names if n in {".git", ".atrium", "__pycache__"} or
                in_build and n not in others and (ROOT / "build" / n).is_dir()]

    # With what is built already, so that only what changes is built again.
    shutil.copytree(ROOT, copy, symlinks=True, ignore=leave_out)
    return copy


def test_the_document_works(tree):
    todo = list(blocks())
    assert any(a.get("file", "").endswith(".proto") for _, a, _ in todo), "the document has no .proto block"
    make(tree, "build")
    stack = Stack(root=tree)
    stack.environment.pop("ATRIUM_BUILD", None)
    try:
        stack.up()
        api = Api(stack.url)
        user = api.register()
        gateway = stack.status()["gateway"]["pid"]
        binary = (tree / "build/bin/gateway").stat().st_mtime_ns
        for _, attributes, text in todo:
            if "file" in attributes:
                apply(tree, attributes, text)
        document = DOCUMENT.read_text()
        path = re.search(r"<!-- demonstration: (GET) (\S+) -->", document)
        assert path, "the document does not say which path it adds: <!-- demonstration: GET /api/… -->"
        assert api.get(path.group(2), user["access_token"]).status_code == 404
        make(tree, "build")
        added = [match.groups() for _, attributes, _ in todo
                 if (match := re.fullmatch(r"services/(\w+)/(\w+_test)\.c", attributes.get("file", "")))]
        assert added, "the document adds no unit test"
        binaries = [f"build/test/{service}/{name}" for service, name in added]
        make(tree, *binaries)
        units = subprocess.run(["tests/run-units", *binaries], cwd=tree, stdout=subprocess.PIPE, text=True, check=False)
        assert units.returncode == 0, units.stdout
        stack.atrium("restart", "auth")
        stack.atrium("reload", "gateway")
        answer = poll(lambda: (a := api.get(path.group(2), user["access_token"])).status_code == 200 and a, 10,
                      "the new path is served")
        assert answer.json() is not None
        assert stack.status()["gateway"]["pid"] == gateway, "the gateway was restarted"
        assert (tree / "build/bin/gateway").stat().st_mtime_ns == binary, "the gateway was built again"
    finally:
        stack.destroy()
