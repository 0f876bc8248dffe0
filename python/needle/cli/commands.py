"""The group of all commands."""

from __future__ import annotations

import click

from needle import __version__
from needle.cli.evaluate import evaluate
from needle.cli.predict import predict
from needle.cli.train import train


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.pass_context
def needle(context: click.Context) -> None:
    """Automatic differentiation for Python with a Rust core."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (train, evaluate, predict):
    needle.add_command(command)
