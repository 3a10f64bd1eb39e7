"""For all Python suites: skips must be on the list, and the counts are told in one plain line."""
import fnmatch
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
counts = {"passed": 0, "failed": 0}
failed = {}  # ids, in their order
died = []  # of a stack, beside tests that failed


def allowed_skips():
    for line in (HERE / "skips.txt").read_text().splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            yield line.split(None, 1)[0]


def pytest_configure(config):
    config.addinivalue_line("markers", "local: needs a stack on this machine that the test may stop and change")


def pytest_collection_modifyitems(items):
    if os.environ.get("ATRIUM_URL"):
        for item in items:
            if item.get_closest_marker("local"):
                item.add_marker(pytest.mark.skip(reason="needs a stack of its own"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail"):
        listed = any(fnmatch.fnmatch(item.nodeid, pattern) for pattern in allowed_skips())
        deployed = os.environ.get("ATRIUM_URL") and item.get_closest_marker("local")
        if not listed and not deployed:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped and is not on tests/skips.txt: {report.longrepr}"
    for words in [*started_again(), *([mended(item)] if report.failed else [])]:
        if words:
            report.sections.append(("what died", words))
            report.user_properties.append(("died", words.splitlines()[0]))


def mended(item):
    """What had died of the stack of a test that failed, and was started again."""
    stack = getattr(item, "funcargs", {}).get("stack")
    try:
        return stack.mend() if hasattr(stack, "mend") else ""
    except Exception as fault:  # whatever it is, the test's own failure is what should be read
        return f"the stack could not be mended: {fault!r}"


def started_again():
    """Of stacks whose first start did not come to its end."""
    module = sys.modules.get("stack")
    while module and module.STARTED_AGAIN:
        yield module.STARTED_AGAIN.pop()


def pytest_runtest_logreport(report):
    if report.failed:
        counts["failed"] += 1
        failed[report.nodeid] = True
        died.extend(f"{report.nodeid}: {what}" for name, what in report.user_properties if name == "died")
    elif report.when == "call" and report.passed:
        counts["passed"] += 1


def pytest_unconfigure():
    if os.environ.get("PYTEST_XDIST_WORKER"):  # its reports are counted where they arrive
        return
    if os.environ.get("ATRIUM_FAILED_LIST") and failed:
        pathlib.Path(os.environ["ATRIUM_FAILED_LIST"]).write_text("".join(f"{id}\n" for id in failed))
    for line in died:
        print(f"DIED {line}")
    print(f"{counts['passed']} passed, {counts['failed']} failed")
