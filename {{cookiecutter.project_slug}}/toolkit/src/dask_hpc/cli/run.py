"""``dask hpc run``: run a program and its workers in one job."""

from pathlib import Path

import click


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "-N",
    "--nodes",
    default=1,
    type=click.IntRange(min=1),
    show_default=True,
    help="Number of nodes, each with the cores and memory of a job in jobqueue.yaml.",
)
@click.option("--config-name", help="Profile in jobqueue.yaml to use.")
@click.option("--dry-run", is_flag=True, help="Print the job script without submitting it.")
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(nodes, config_name, dry_run, program, arguments):
    """Run a program and all its workers in one Slurm job.

    PROGRAM is a Python file; everything after it is passed to the program. It can also be the
    command `sweep`, with all that `dask hpc sweep` takes.

    Use this where programs may not run on the login node. Inside the job, get_cluster() starts
    workers on the job's nodes and Dask's scheduler on the first of them. The program's exit code
    becomes the job's.
    """
    from ..allocation import job_script, submit

    words = [program, *arguments]
    if program == "sweep" and not Path(program).exists():
        from .sweep import sweep

        sweep.make_context("sweep", list(arguments))  # a mistake is told before the job waits
        words = ["-m", "dask", "hpc", *words]
    else:
        submit.check_program(program)
    ours = {name for option in click.get_current_context().command.params for name in option.opts}
    for word in arguments:
        if (name := word.partition("=")[0]) in ours:
            click.echo(
                f"Note: {name} is passed to {program}. If it was meant for `dask hpc run`, put it "
                f"before {program}.",
                err=True,
            )
    text = job_script.script(words, nodes, config_name)
    if dry_run:
        click.echo(text, nl=False)
        return
    if submit.is_local_disk(folder := Path.cwd()):
        click.secho(
            f"Warning: {folder} looks like a local disk that compute nodes cannot see. If so, the "
            "job fails immediately, without output: submit it from a shared directory.",
            fg="yellow",
            err=True,
        )
    job = submit.submit(text)
    click.echo(f"Submitted batch job {job}")
    click.echo(f"Status: `squeue --job {job}`; end of its output: `dask hpc logs {job}`.", err=True)
