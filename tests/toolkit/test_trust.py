"""Who could replace a file or folder: decided from owners and modes, and tried with real ones."""

import grp
import os
import pwd
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import dask
import pytest

from dask_hpc import ConfigError, batch
from dask_hpc.config import accounts, files, paths, resolve, summary, trust

ME, ENVIRONMENT, BOB, MALLORY = 1001, 1002, 1003, 1004
LAB, USERS = 2000, 2001
NAMES = {0: "root", ME: "alice", ENVIRONMENT: "admin", BOB: "bob", MALLORY: "mallory"}
GROUPS = {0: ("root", []), ME: ("alice", []), LAB: ("lab", ["alice", "bob"]), USERS: ("users", [])}
FOLDER, FILE, LINK = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to somebody else")


@pytest.fixture
def names(monkeypatch):
    """Let the system know the users and groups above; this process is alice's."""

    def user(uid):
        gid = uid if uid in GROUPS else USERS
        return pwd.struct_passwd((NAMES[uid], "x", uid, gid, "", "/", "/bin/sh"))

    def group(gid):
        name, members = GROUPS[gid]
        return grp.struct_group((name, "x", gid, members))

    monkeypatch.setattr(pwd, "getpwuid", user)
    monkeypatch.setattr(grp, "getgrgid", group)
    monkeypatch.setattr(os, "geteuid", lambda: ME)


def problem(mode, uid, gid, groups=(), may_add=True):
    status = os.stat_result((mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))
    whom = trust.Trusted(frozenset({0, ME, ENVIRONMENT}), frozenset(groups))
    return whom.problem(Path("/here"), status, may_add)


@pytest.mark.parametrize(
    ("mode", "uid", "gid"),
    [
        (FOLDER | 0o755, 0, 0),
        (FOLDER | 0o755, ME, USERS),
        (FOLDER | 0o755, ENVIRONMENT, LAB),
        (FOLDER | 0o1777, 0, 0),  # /tmp
        (FOLDER | 0o3775, 0, LAB),  # a lab's folder with the sticky bit
        (FOLDER | 0o775, ME, ME),  # umask 002, and a group of one's own
        (FOLDER | 0o775, 0, 0),
        (FILE | 0o664, ME, ME),
        (LINK | 0o777, ME, USERS),
    ],
)
def test_nobody_else_could_replace_what_is_there(names, mode, uid, gid):
    assert problem(mode, uid, gid) == ""


TRUST_LAB = "if you trust all its members with your account, set `trusted-group: lab` in the"


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "line"),
    [
        (FOLDER | 0o755, MALLORY, USERS, "/here belongs to mallory, who could replace"),
        (FOLDER | 0o1777, MALLORY, USERS, "/here belongs to mallory"),
        (LINK | 0o777, BOB, LAB, "/here belongs to bob"),
        (FOLDER | 0o777, ME, USERS, "all users may write to /here: run `chmod o-w /here`"),
        (FOLDER | 0o777, 0, 0, "all users may write to /here: ask root to run `chmod +t /here`"),
        (FILE | 0o1666, ME, USERS, "all users may write to /here: run `chmod o-w /here`"),
        (FOLDER | 0o2775, 0, LAB, "the group lab may write to /here: ask root to run `chmod +t"),
        (FOLDER | 0o2775, ME, LAB, TRUST_LAB),
        (FILE | 0o664, ME, LAB, "the group lab may write to /here: run `chmod g-w /here`, or, if"),
        (FOLDER | 0o775, ME, USERS, "the group users may write to /here"),
        (FOLDER | 0o775, ENVIRONMENT, ME, "the group alice may write to /here"),
    ],
)
def test_others_could_replace_what_is_there(names, mode, uid, gid, line):
    assert line in problem(mode, uid, gid)


def test_the_sticky_bit_does_not_keep_others_from_adding_files(names):
    assert "all users may write" in problem(FOLDER | 0o1777, 0, 0, may_add=False)


def test_the_group_that_the_configuration_names_may_write(names):
    assert problem(FOLDER | 0o2775, 0, LAB, groups=[LAB]) == ""
    assert "belongs to bob" in problem(FOLDER | 0o2775, BOB, LAB, groups=[LAB])
    assert "all users" in problem(FOLDER | 0o2777, 0, LAB, groups=[LAB])


def test_a_group_with_another_member_is_nobodys_own(names, monkeypatch):
    monkeypatch.setitem(GROUPS, ME, ("alice", ["alice"]))
    assert accounts.is_private_group(ME, ME)
    monkeypatch.setitem(GROUPS, ME, ("alice", ["alice", "bob"]))
    assert not accounts.is_private_group(ME, ME)
    assert not accounts.is_private_group(ME, LAB)


def test_the_way_to_a_path_leads_over_links_and_their_own_folders(tmp_path):
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "absolute").symlink_to(tmp_path / "links" / "relative")
    (tmp_path / "links" / "relative").symlink_to("../real")
    found = [str(it) for it in trust.steps(tmp_path / "links" / "absolute" / "inner" / "new")]
    begin = [str(it) for it in [*reversed(tmp_path.parents), tmp_path]]
    assert found[: len(begin)] == begin
    assert [it.removeprefix(str(tmp_path)) for it in found if it not in begin] == [
        "/links",
        "/links/absolute",
        "/links",
        "/links/relative",
        "/real",
        "/real/inner",
        "/real/inner/new",
    ]


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert len(list(trust.steps(tmp_path / "one"))) < 100


def test_trusted_are_this_user_root_and_the_environments_owner():
    assert trust.trusted().owners >= {os.geteuid(), 0, Path(sys.prefix).stat().st_uid}
    assert trust.trusted().groups == set()


def test_a_trusted_group_is_a_group_that_exists():
    group = grp.getgrgid(os.getegid())
    with dask.config.set({trust.KEY: group.gr_name}):
        assert trust.trusted().groups == {group.gr_gid}
    for name in ("no-such-group", 5, ""):
        with dask.config.set({trust.KEY: name}), pytest.raises(ConfigError, match="exists here"):
            trust.trusted()


def test_setup_says_what_a_trusted_group_may_do(lab, monkeypatch):
    group = grp.getgrgid(os.getegid()).gr_name
    line = f"trusted-group: members of {group} may write to folders that lead to your configuration"
    monkeypatch.setattr(dask.config, "refresh", lambda: None)
    for name, said in [(group, True), (None, False)]:
        with dask.config.set({trust.KEY: name}):
            assert any(it.startswith(line) for it in summary.describe()) is said


def mode_of(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_log_folder_is_private_whatever_the_umask_and_those_above_are_not_writable(
    tmp_path, open_umask
):
    paths.ensure_shared_directory(f"{tmp_path}/new/deeper/logs", "key")
    assert mode_of(tmp_path / "new/deeper/logs") == 0o700
    assert mode_of(tmp_path / "new/deeper") == 0o755


def test_a_log_folder_that_others_may_read_is_closed_and_said_so_once(tmp_path, caplog):
    caplog.set_level("INFO")
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o755)
    for _ in range(2):
        paths.ensure_shared_directory(str(logs), "key")
    assert mode_of(logs) == 0o700
    assert caplog.messages == [f"key: {logs} is now closed to other users (mode 700)."]


def test_the_working_directory_as_a_log_folder_stays_open_to_readers(tmp_path, monkeypatch):
    tmp_path.chmod(0o755)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    paths.ensure_shared_directory(str(tmp_path), "key")
    assert mode_of(tmp_path) == 0o755


def test_a_folder_that_others_may_write_to_is_refused_with_the_command_that_helps(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    for changed in (logs, tmp_path):
        changed.chmod(0o777)
        with pytest.raises(ConfigError) as error:
            paths.ensure_shared_directory(str(logs), "key")
        line = (
            f"key: not using {logs}: all users may write to {changed}: run `chmod o-w {changed}`."
        )
        assert str(error.value) == line
        changed.chmod(0o700)
    assert paths.ensure_shared_directory(str(logs), "key") == str(logs)


def test_keys_may_be_in_a_shared_folder_like_tmp(tmp_path):
    tmp_path.chmod(0o1777)
    paths.ensure_shared_directory(str(tmp_path), "key", own=False)
    assert mode_of(tmp_path) == 0o1777
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="all users may write"):
        paths.ensure_shared_directory(str(tmp_path), "key", own=False)


@as_root
@pytest.mark.parametrize(("mode", "ok"), [(0o2775, False), (0o3775, True), (0o2755, True)])
def test_a_labs_scratch_space(tmp_path, mode, ok):
    """root:lab, in which each member has a folder."""
    lab = tmp_path / "lab"
    lab.mkdir()
    os.chown(lab, 0, 65534)
    lab.chmod(mode)
    group = grp.getgrgid(65534).gr_name
    logs = f"{lab}/alice/dask-logs"
    if not ok:
        with pytest.raises(ConfigError, match=f"the group {group} may write to {lab}: "):
            paths.ensure_shared_directory(logs, "key")
        assert not (lab / "alice").exists()
    with dask.config.set({} if ok else {trust.KEY: group}):
        paths.ensure_shared_directory(logs, "key")
    assert mode_of(logs) & 0o777 == 0o700


@as_root
@pytest.mark.parametrize("below", ["", "/logs", "/missing/logs"])
def test_a_folder_of_another_users_is_refused(tmp_path, below):
    theirs = tmp_path / "theirs"
    (theirs / "logs").mkdir(parents=True)
    os.chown(theirs, 65534, 65534)
    with pytest.raises(ConfigError, match=f"{theirs} belongs to nobody"):
        paths.ensure_shared_directory(f"{theirs}{below}", "key")
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(ConfigError, match=f"{link} belongs to nobody"):
        paths.ensure_shared_directory(f"{link}/logs", "key")


@as_root
def test_a_log_folder_must_be_ones_own_even_if_its_owner_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "logs").mkdir()
    os.chown(tmp_path / "logs", 65534, 65534)
    real = trust.trusted()
    monkeypatch.setattr(trust, "trusted", lambda: trust.Trusted(real.owners | {65534}))
    with pytest.raises(ConfigError, match="logs belongs to nobody: name a folder of your own"):
        paths.ensure_shared_directory(f"{tmp_path}/logs", "key")
    paths.ensure_shared_directory(f"{tmp_path}/logs", "key", own=False)


def test_the_log_folder_of_a_cluster_is_checked(lab, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs").chmod(0o777)
    with pytest.raises(ConfigError, match=r"^jobqueue.slurm.log-directory: not using logs: all"):
        resolve.resolve(batch.get("slurm"), {})


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project" / "config").mkdir(parents=True)
    (tmp_path / "project" / "config" / "jobqueue.yaml").write_text("dask-hpc: {}\n")
    return tmp_path / "project"


@pytest.mark.parametrize("where", ["", "config", "config/jobqueue.yaml"])
def test_a_configuration_that_others_may_write_is_not_linked(project, tmp_path, where):
    (project / where).chmod(0o777)
    with pytest.raises(ConfigError) as error:
        files.install(project, tmp_path / "env")
    assert f"all users may write to {project / where}: run `chmod o-w" in str(error.value)
    assert not (tmp_path / "env").exists()


@as_root
@pytest.mark.parametrize("where", ["config", "config/jobqueue.yaml"])
def test_a_configuration_of_another_users_is_not_linked(project, tmp_path, where):
    os.chown(project / where, 65534, 65534)
    with pytest.raises(ConfigError, match=f"{project / where} belongs to nobody"):
        files.install(project, tmp_path / "env")


@as_root
def test_a_member_uses_the_environment_and_configuration_that_another_installed():
    """One user installs, another uses."""
    code = (
        "import os, sys; from dask_hpc.config import trust; from pathlib import Path; "
        "os.setgid(65534); os.setuid(65534); sys.prefix = sys.argv[1]; "
        "trust.check(Path(sys.argv[2]))"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # where others can get to
        folder = Path(name)
        (folder / "env").mkdir()
        (folder / "project.yaml").touch()
        for path in (folder, *folder.iterdir()):
            os.chown(path, 12345, 12345)
            path.chmod(0o755)
        command = [sys.executable, "-c", code, folder / "env", folder / "project.yaml"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        os.chown(folder / "env", 54321, 54321)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert f"{folder} belongs to user id 12345, who could replace what is there" in done.stderr
