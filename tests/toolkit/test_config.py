"""Finding, linking and reading the lab's configuration."""

import getpass
import os
import subprocess
import sys
from pathlib import Path

import dask
import pytest
import yaml

from dask_hpc import ConfigError, batch
from dask_hpc.config import files, options, resolve

SLURM = batch.get("slurm")
JOBQUEUE = {"dask-hpc": {"batch-system": "slurm"}, "jobqueue": {"slurm": {"cores": 4}}}


def make_project(folder: Path, jobqueue=JOBQUEUE) -> Path:
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "jobqueue.yaml").write_text(yaml.safe_dump(jobqueue))
    (folder / "config" / "distributed.yaml").write_text("distributed: {}\n")
    return folder


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "the lab")


@pytest.fixture
def prefix(tmp_path):
    return tmp_path / "env"


def test_project_is_found_from_a_folder_inside_it_and_the_nearest_counts(project):
    inner = make_project(project / "inner")
    (inner / "notebooks").mkdir()
    assert files.find_project(inner / "notebooks") == inner
    assert files.find_project(project / "config") == project


def test_no_project_around_is_one_line_that_names_the_folder(tmp_path):
    with pytest.raises(ConfigError, match=r"No config/jobqueue\.yaml in") as error:
        files.find_project(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_links_make_an_edit_count_in_the_next_python(project, tmp_path):
    # A Python whose prefix is elsewhere, as a venv's.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    site = tmp_path / "venv" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    (site / "here.pth").write_text("\n".join(path for path in sys.path if path))

    def cores():
        code = "import dask; print(dask.config.get('jobqueue.slurm.cores'))"
        python = tmp_path / "venv" / "bin" / "python"
        environment = {k: v for k, v in os.environ.items() if k != "DASK_CONFIG"}
        out = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        return int(out.stdout)

    targets = files.install(project, tmp_path / "venv")
    assert [target.name for target in targets] == [
        *("distributed.yaml", "jobqueue.yaml", "dask-hpc.yaml", "dask-hpc.json")
    ]
    assert cores() == 4
    (project / "config" / "jobqueue.yaml").write_text("jobqueue: {slurm: {cores: 6}}")
    assert cores() == 6


def test_the_file_to_edit_is_the_projects_and_otherwise_the_file_itself(project, prefix, tmp_path):
    _, linked, *_ = files.install(project, prefix)
    assert files.source_file(linked) == project / "config/jobqueue.yaml"
    own = tmp_path / "jobqueue.yaml"
    own.write_text("jobqueue: {}\n")
    assert files.source_file(own) == own
    # A member's own link, into a repository of dotfiles say, is where that member looks.
    (tmp_path / "link.yaml").symlink_to(own)
    assert files.source_file(tmp_path / "link.yaml") == tmp_path / "link.yaml"


def test_linking_again_and_from_another_or_a_deleted_project_replaces_the_links(
    project, prefix, tmp_path
):
    files.install(project, prefix)
    files.install(project, prefix)
    other = make_project(tmp_path / "other")
    files.install(other, prefix)
    assert (prefix / "etc/dask/jobqueue.yaml").readlink() == other / "config/jobqueue.yaml"
    other.rename(tmp_path / "gone")  # the links are dead now
    files.install(project, prefix)
    assert (prefix / "etc/dask/jobqueue.yaml").resolve() == project / "config/jobqueue.yaml"


def test_a_file_of_somebody_else_is_not_touched_and_nothing_is_linked(project, prefix):
    theirs = prefix / "etc/dask/jobqueue.yaml"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs: 1\n")
    with pytest.raises(ConfigError, match="already exists and does not come from a project"):
        files.install(project, prefix)
    assert theirs.read_text() == "theirs: 1\n"
    assert [path.name for path in theirs.parent.iterdir()] == ["jobqueue.yaml"]


def test_a_link_of_somebody_else_is_not_replaced(project, prefix, tmp_path):
    target = prefix / "etc/dask/jobqueue.yaml"
    target.parent.mkdir(parents=True)
    target.symlink_to(tmp_path / "site-wide.yaml")
    with pytest.raises(ConfigError, match="does not come from a project"):
        files.install(project, prefix)


def test_where_links_are_not_allowed_files_are_copied_and_copied_again(
    project, prefix, monkeypatch
):
    def refuse(self, target):
        raise OSError(95, "Operation not supported", str(self))

    monkeypatch.setattr(Path, "symlink_to", refuse)
    files.install(project, prefix)
    (project / "config/jobqueue.yaml").write_text("jobqueue: {slurm: {cores: 6}}")
    targets = files.install(project, prefix)
    assert not any(target.is_symlink() for target in targets)
    copy = (prefix / "etc/dask/jobqueue.yaml").read_text()
    assert yaml.safe_load(copy) == {"jobqueue": {"slurm": {"cores": 6}}}
    assert str(project) in copy.splitlines()[0]
    # Whoever is told of a fault in it is told the file to edit.
    assert files.source_file(prefix / "etc/dask/jobqueue.yaml") == project / "config/jobqueue.yaml"


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """Return an empty home directory."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("JUPYTER_CONFIG_DIR", raising=False)
    return home


def test_a_configuration_may_be_activated_for_one_user(project, prefix, own_home):
    files.install(project, user=True)
    folder = own_home / ".config/dask"
    assert files.source_file(folder / "jobqueue.yaml") == project / "config/jobqueue.yaml"
    assert (folder / "dask-hpc-toolkit.yaml").resolve() == files.OWN_FILE.resolve()
    assert (own_home / ".jupyter/jupyter_server_config.d/dask-hpc.json").exists()
    assert not prefix.exists()
    assert files.installed_project(prefix) == project
    assert files.is_own_file_installed(prefix)
    assert files.is_labs(folder / "jobqueue.yaml")
    files.install(project, user=True)  # again


def test_a_users_own_settings_stay(project, own_home):
    folder = own_home / ".config/dask"
    folder.mkdir(parents=True)
    (folder / "dask-hpc.yaml").write_text("dask-hpc: {batch-system: none}\n")
    (folder / "jobqueue.yaml").write_text("# jobqueue:\n#   slurm:\n")  # dask-jobqueue's
    files.install(project, user=True)
    assert (folder / "dask-hpc.yaml").read_text() == "dask-hpc: {batch-system: none}\n"
    assert (folder / "jobqueue.yaml.old").read_text().startswith("# jobqueue:")
    assert not files.is_labs(folder / "dask-hpc.yaml")

    (folder / "jobqueue.yaml").unlink()
    (folder / "jobqueue.yaml").write_text("jobqueue: {slurm: {cores: 2}}\n")
    with pytest.raises(ConfigError, match="already exists and does not come from a project"):
        files.install(project, user=True)
    assert "cores: 2" in (folder / "jobqueue.yaml").read_text()


def test_an_environment_of_somebody_else_is_one_line_with_what_to_do(project, prefix, monkeypatch):
    def refuse(folder, mode):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(files, "create_folder", refuse)
    with pytest.raises(ConfigError, match=r"Permission denied.*`dask hpc setup --user`"):
        files.install(project, prefix)
    with pytest.raises(ConfigError, match=r"Permission denied\.$"):
        files.install(project, user=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_environment_that_is_not_yours_is_one_line(project, prefix):
    prefix.mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="environment of your own"):
        files.install(project, prefix)


def test_an_environment_that_cannot_hold_the_links_is_one_line(project, prefix):
    prefix.mkdir()
    (prefix / "etc").write_text("a file")
    with pytest.raises(ConfigError, match="environment of your own") as error:
        files.install(project, prefix)
    assert "\n" not in str(error.value)


def test_broken_yaml_is_named_with_its_line_and_not_linked(project, prefix):
    (project / "config/jobqueue.yaml").write_text("jobqueue:\n  slurm:\n\tcores: 4\n")
    with pytest.raises(
        ConfigError, match=r"jobqueue.yaml:3: not valid YAML \(a tab\): indent with spaces"
    ) as error:
        files.install(project, prefix)
    assert "\n" not in str(error.value)
    assert not prefix.exists()


def test_configuration_without_a_batch_system_means_none():
    with dask.config.set({"dask-hpc": None}):
        assert options.batch_system().name == "none"
    with dask.config.set({"dask-hpc.batch-system": "none"}):
        assert options.batch_system().name == "none"


def test_a_batch_system_that_is_not_known_is_one_line_with_the_known_ones():
    with dask.config.set({"dask-hpc.batch-system": "slrum"}):
        with pytest.raises(ConfigError, match=r"'slrum'; use one of slurm, .*none"):
            options.batch_system()


def test_cores_memory_and_processes_of_the_yaml_become_arguments(lab):
    filled = resolve.resolve(SLURM, {"queue": "long"})
    assert (
        filled.arguments["cores"],
        filled.arguments["memory"],
        filled.arguments["processes"],
    ) == (2, "1 GiB", 2)
    assert filled.arguments["queue"] == "long"
    assert resolve.resolve(SLURM, {"cores": 6, "processes": 3}).cores == 6


@pytest.mark.parametrize(
    ("cores", "processes"), [(1, 1), (6, 6), (8, 8), (30, 6), (32, 8), (13, 1)]
)
def test_processes_left_out_divide_the_cores_and_are_eight_at_most(lab, cores, processes):
    with dask.config.set({"jobqueue.slurm.processes": None}):
        assert resolve.resolve(SLURM, {"cores": cores}).processes == processes


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"cores": None}, "cores is not set"),
        ({"memory": None}, "memory is not set"),
        ({"cores": "four"}, "cores: must be an integer"),
        ({"processes": 0}, "processes: must be an integer"),
        ({"processes": 3}, "3 processes cannot share 2 cores"),
        ({"cores": 100_000}, "8192 at most"),
        ({"memory": "much"}, "memory: 'much' is not an amount of memory"),
        ({"memory": "0 GiB"}, "memory must be more than 0"),
        ({"interface": "ib0; reboot"}, "interface: must be a name that `ip address` lists"),
        ({"account": "lab\nreboot"}, "account: 'lab.nreboot' has a line break"),
        ({"account": ["physics", "chem"]}, "account: must be a single text"),
        ({"queue": {"a": "b"}}, "queue: must be a single text"),
        ({"shebang": ["x"]}, "shebang: must be a single text"),
        ({"job-extra-directives": [{"mem": 3}]}, "job-extra-directives: .* is not text"),
        ({"job-script-prologue": [5]}, "job-script-prologue: 5 is not text; put it in quotes"),
        ({"job-cpu": "many"}, "job-cpu: must be an integer, 1 or more, not 'many'"),
        ({"queue": "short\r"}, "queue: .* control character"),
        ({"walltime": "00:10:00\nreboot"}, "walltime: .* has a line break"),
        ({"name": "my\njob"}, "name: .* has a line break"),
        ({"job-extra-directives": ["--nodes=1", "--x\nreboot"]}, "job-extra-directives: .*x"),
        ({"worker-extra-args": ["--nthreads", "1\n"]}, "worker-extra-args: .* has a line break"),
        ({"python": "/bin/python\n"}, "python: .* has a line break"),
        ({"log-directory": "$NO_SUCH_VARIABLE/logs"}, "contains a variable that is not set"),
        ({"log-directory": "my logs"}, "has a space"),
        ({"log-directory": "/proc/nowhere/logs"}, "cannot create"),
    ],
)
def test_settings_that_no_job_can_have_are_one_line(lab, settings, line):
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in settings.items()}):
        with pytest.raises(ConfigError, match=line) as error:
            resolve.resolve(SLURM, {})
    assert "\n" not in str(error.value)


def test_a_key_that_jobs_of_this_batch_system_need_is_asked_for(lab):
    settings = {"jobqueue.htcondor": {"cores": 2, "memory": "1 GiB"}}
    with dask.config.set(settings), pytest.raises(ConfigError, match="disk is not set"):
        resolve.resolve(batch.get("htcondor"), {})


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("pbs", {"resource-spec": "select=1\nreboot"}),
        ("sge", {"project": "lab\nreboot"}),
        ("oar", {"memory-per-core-property-name": "memcore\n#OAR -t deploy"}),
        ("lsf", {"lsf-units": "mb\n"}),
        ("htcondor", {"job-extra-directives": {"+Group": "lab\nqueue 1000"}}),
        ("htcondor", {"job-extra-directives": {"+Group\nqueue 1000": "lab"}}),
    ],
)
def test_a_line_break_is_refused_in_every_batch_systems_keys(lab, name, setting):
    [key] = setting
    section = {"cores": 2, "memory": "1 GiB", "disk": "1 GiB", **setting}
    with dask.config.set({f"jobqueue.{name}": section}):
        with pytest.raises(ConfigError, match=f"jobqueue.{name}.{key}: .* has a line break"):
            resolve.resolve(batch.get(name), {})


def test_a_line_break_in_an_argument_is_refused_like_one_in_the_yaml(lab):
    with pytest.raises(ConfigError, match=r"argument account: .* has a line break"):
        resolve.resolve(SLURM, {"account": "lab\nreboot"})
    with pytest.raises(ConfigError, match="has a line break"):
        resolve.resolve(SLURM, {"job_extra_directives": ["--comment='a\nreboot'"]})


def test_lines_of_shell_and_tabs_may_stay(lab):
    prologue = ["if true; then\n  module load x\nfi"]
    filled = resolve.resolve(SLURM, {"job_script_prologue": prologue, "account": "a\tb"})
    assert filled.arguments["job_script_prologue"] == prologue


def test_further_directives_in_the_form_of_another_batch_system_are_refused(lab):
    settings = {"jobqueue.slurm.job-extra-directives": {"+Group": "lab"}}
    with dask.config.set(settings), pytest.raises(ConfigError, match="must be a list of options"):
        resolve.resolve(SLURM, {})
    assert resolve.resolve(SLURM, {"job_extra_directives": ["--exclusive"]})


def test_no_nanny_with_several_processes_is_refused_here_and_not_by_every_job(lab):
    with pytest.raises(ConfigError, match="pass processes=1, too"):
        resolve.resolve(SLURM, {"nanny": False})
    assert resolve.resolve(SLURM, {"nanny": False, "processes": 1}).processes == 1


def test_a_section_that_is_not_there_is_named_with_those_that_are(lab):
    with pytest.raises(ConfigError, match=r"no section jobqueue\.gpu .*slurm"):
        resolve.resolve(SLURM, {"config_name": "gpu"})


def test_user_and_home_in_the_log_directory_are_filled_in_and_it_is_made(
    lab, tmp_path, monkeypatch
):
    monkeypatch.setenv("USER", getpass.getuser())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    filled = resolve.resolve(SLURM, {"log_directory": "~/$USER/logs"})
    expected = tmp_path / "home" / getpass.getuser() / "logs"
    assert Path(filled.arguments["log_directory"]) == expected
    assert expected.is_dir()


def test_python_with_a_space_in_its_path_is_quoted_in_the_script(lab, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/the lab/bin/python")
    assert resolve.resolve(SLURM, {}).get("python") == "'/the lab/bin/python'"
    assert resolve.resolve(SLURM, {"python": "mine"}).get("python") == "mine"
