"""What mallory, and bob of alice's own group, can do to alice through her cluster.

That is nothing, apart from what she allows on purpose (`Attack.opened`).

Each attack is shown to work against plain dask-jobqueue (`full`): one that fails because its
program is broken would prove nothing.
"""

import json
from pathlib import Path

import pytest

from ..tables import replace_table
from .intruder.harness import Intruder, RefusedError, keep
from .intruder.render import DATA, PAGE, table
from .intruder.rows import ATTACKS
from .intruder.scenarios import Site

# Whether the kernel refuses to open others' files in folders such as /tmp.
PROTECTED = Path("/proc/sys/fs/protected_regular")


@pytest.fixture(scope="module")
def site(lab_session):
    """Yield the site with the intruders' programs, and with clusters that several attacks share."""
    for user in ("mallory", "bob"):
        Intruder(lab_session.testbed, user).prepare()
    site = Site(lab_session)
    site.clean()
    yield site
    site.close()
    site.clean()


def cases(side):
    """Return an attack by each who tries it, with the marks of its test."""
    found = []
    for attack in ATTACKS:
        for number, (user, place) in enumerate(attack.who):
            marks = []
            if side == "plain" or number or not attack.quick:
                marks.append(pytest.mark.full)
            name = f"{attack.name}-{user}-{place}"
            found.append(pytest.param(attack, user, place, id=name, marks=marks))
    return found


def attacked(site, side, attack, user, place):
    """Let an attack happen, keep its result, and return it."""
    if attack.name == "job_script" and int(PROTECTED.read_text()):
        pytest.skip("the kernel refuses to open others' files in /tmp (fs.protected_regular)")
    if attack.name == "tls_files":
        found = site.testbed.run("python3 -c 'import cryptography'", check=False)
        if found.returncode:
            pytest.skip("the image has no cryptography, which makes the files")
    try:
        result = attack.scenario(site, side, Intruder(site.testbed, user, place))
    except RefusedError as error:
        result = {"worked": False, "evidence": str(error)}
    finally:
        if not attack.quick:
            site.clean()
    keep(attack.name, f"{user}@{place}", side, result)
    return result


@pytest.mark.parametrize(("attack", "user", "place"), cases("plain"))
def test_works_against_plain(site, attack, user, place):
    result = attacked(site, "plain", attack, user, place)
    assert result["worked"], result["evidence"]


@pytest.mark.parametrize(("attack", "user", "place"), cases("ours"))
def test_fails_against_ours(site, attack, user, place):
    result = attacked(site, "ours", attack, user, place)
    assert result["worked"] == attack.opened, result["evidence"]


def listeners(site, service):
    """Return the ports on which alice's processes listen for other computers, as root sees them."""
    uid = site.root("id -u alice").strip()
    listing = site.root(f"ss -ltneH | grep 'uid:{uid} '", service, check=False)
    locals_ = [line.split()[3].rsplit(":", 1) for line in listing.splitlines()]
    return {int(port) for host, port in locals_ if not host.startswith("127.")}


@pytest.mark.full
@pytest.mark.parametrize("side", ["plain", "ours"])
def test_only_encrypted_connections_are_listened_for(site, side):
    """Dashboards and workers' web servers are not; `open_ports` asks what answers."""
    facts = site.shared(side).facts
    addresses = [facts["scheduler"], *facts["workers"], *facts["nannies"]]
    encrypted = {int(at.rsplit(":", 1)[1]) for at in addresses if at.startswith("tls")}
    others = {
        f"{service}:{port}"
        for service in ("login1", "node1")
        for port in listeners(site, service) - encrypted
    }
    result = {"worked": bool(others), "evidence": ", ".join(sorted(others)) or "none"}
    keep("listeners", "root@login1", side, result)
    assert bool(others) == (side == "plain"), result["evidence"]


@pytest.mark.full
@pytest.mark.parametrize("place", ["arguments", "a file"])
def test_the_search_for_the_dashboards_secret_finds_one(site, place):
    secret = "a-secret-of-alice"
    where = "exec -a {0} sleep 20" if place == "arguments" else "echo {0} > /tmp/{0}; sleep 20"
    site.testbed.run(f"(({where.format(secret)}) > /dev/null 2>&1 &)")
    mallory = Intruder(site.testbed, "mallory", "login1")
    result = mallory.attack("dashboard_secret", dashboard=0, scheduler="", secret=secret)
    site.testbed.run(f"rm -f /tmp/{secret}; pkill -f {secret}", check=False)
    assert result["worked"]


def test_the_table_says_for_whom_an_attack_works():
    won, lost = {"worked": True}, {"worked": False}
    results = {
        "client": {
            "mallory@login1": {"plain": won, "ours": lost},
            "mallory@job": {"plain": won, "ours": won},
            "bob@login2": {"plain": won, "ours": lost},
        }
    }
    first = table(results).splitlines()[2]
    assert first.endswith("| works for mallory and bob | works for mallory |")


def test_the_page_has_the_table_of_the_record():
    record, page = json.loads(DATA.read_text()), PAGE.read_text()
    assert replace_table(page, "attacks", table(record)) == page, (
        "run `python -m tests.testbed.intruder.render`"
    )


@pytest.mark.parametrize(
    "path", [DATA, DATA.with_name("intruder-bookworm.json")], ids=["trixie", "bookworm"]
)
def test_each_attack_works_against_plain_and_only_what_is_opened_against_ours(path):
    record = json.loads(path.read_text())
    assert set(record) == {attack.name for attack in ATTACKS}
    for attack in ATTACKS:
        tried = record[attack.name]
        assert set(tried) == {f"{user}@{place}" for user, place in attack.who}
        for sides in tried.values():
            worked = {side: result["worked"] for side, result in sides.items()}
            assert worked == {"plain": True, "ours": attack.opened}
