"""``dask hpc run``: run a program and its workers in one job."""

from pathlib import Path

import click


@click.command(
    short_help="Run a program and its workers in one job.",
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "-N",
    "--nodes",
    default=1,
    type=click.IntRange(min=1),
    show_default=True,
    help="How many nodes; each with the cores and memory that jobqueue.yaml gives a job.",
)
@click.option("--config-name", help="A profile of jobqueue.yaml.")
@click.option("--dry-run", is_flag=True, help="Print the job script, and submit nothing.")
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(nodes, config_name, dry_run, program, arguments):
    """Run a program and all its workers in one Slurm job.

    PROGRAM is a Python file, and what comes after it is its own.

    For where the login node must stay free: in that job get_cluster() has the job's own nodes, and
    Dask's scheduler is on the first. The program's exit code is the job's.
    """
    from ..allocation import job_script, submit

    submit.check_program(program)
    ours = {name for option in click.get_current_context().command.params for name in option.opts}
    for word in arguments:
        if (name := word.partition("=")[0]) in ours:
            click.echo(
                f"Note: {name} is for {program}, since it comes after that; before it, it would be "
                "for `dask hpc run`.",
                err=True,
            )
    text = job_script.script([program, *arguments], nodes, config_name)
    if dry_run:
        click.echo(text, nl=False)
        return
    if submit.is_local_disk(folder := Path.cwd()):
        click.secho(
            f"Warning: {folder} is on a disk of this computer's own, as it looks. A job that does "
            "not find its folder ends at once, without output: submit it from your home.",
            fg="yellow",
            err=True,
        )
    job = submit.submit(text)
    click.echo(f"Submitted batch job {job}")
    click.echo(
        f"`squeue --job {job}` shows it, `dask hpc logs {job}` the end of its output.", err=True
    )
