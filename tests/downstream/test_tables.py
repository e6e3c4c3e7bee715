"""The tables of the testbed's README say what Slurm itself says."""

from pathlib import Path

from ..tables import read_table

README = (Path(__file__).parents[2] / "hpc-slurm-testbed" / "README.md").read_text()


def partitions(testbed):
    listing = testbed.run("scontrol --oneliner show partition").stdout.splitlines()
    return [dict(pair.split("=", 1) for pair in line.split() if "=" in pair) for line in listing]


def test_partitions(testbed):
    named = {
        p["PartitionName"] + (" (default)" if p["Default"] == "YES" else ""): p
        for p in partitions(testbed)
    }
    said = [[name, p["MaxTime"], p["DefaultTime"], p["AllowAccounts"]] for name, p in named.items()]
    assert sorted(read_table(README, "partition")) == sorted(said)


def test_users(testbed):
    listing = testbed.run("sacctmgr -nP show assoc format=user,account").stdout
    accounts = dict(
        line.split("|") for line in listing.split() if not line.startswith(("|", "root|"))
    )
    people = testbed.run("getent passwd | awk -F: '$3 > 2000 && $3 < 3000 {print $1}'").stdout
    rows = read_table(README, "user")
    assert {user for user, _, _ in rows} == set(people.split())
    for user, account, where in rows:
        assert accounts.get(user, "") == account
        for partition in partitions(testbed):
            name = partition["PartitionName"]
            submit = f"sbatch --test-only --time=1 --partition={name} --wrap=true"
            taken = testbed.run(submit, user=user, check=False).returncode == 0
            assert taken is (name in where.split(", ")), f"{user} in {name}"
