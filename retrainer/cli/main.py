"""`retrainer`: one file per command group, imported when its command is called, so that `--help` is fast."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import TYPE_CHECKING, NoReturn

import click

from retrainer.cli.session import connection_options

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("retrainer.cli.init:init", "Write the files of a new project."),
    "run": ("retrainer.cli.daemon:run", "Run the daemon until it is stopped."),
    "demo": ("retrainer.cli.demo:demo", "Run a demonstration on this machine."),
    "validate": ("retrainer.cli.validate:validate", "Check configuration files, and report their mistakes."),
    "lint": ("retrainer.cli.lint:lint", "Find what is valid in rules, but most likely not intended."),
    "test": ("retrainer.cli.test:test", "Test rules: inputs on a simulated clock, and the expected results."),
    "simulate": (
        "retrainer.cli.simulate:simulate",
        "Evaluate rules on history: which runs would have started, and their cost.",
    ),
    "schema": ("retrainer.cli.schema:schema", "Print a JSON Schema for editors, or the API's description."),
    "rules": ("retrainer.cli.rules:rules", "List the rules with their verdicts."),
    "explain": ("retrainer.cli.rules:explain", "Explain why a rule fires, holds or skips."),
    "keys": ("retrainer.cli.keys:keys", "List the keys of a rule with for_each."),
    "decisions": ("retrainer.cli.decisions:decisions", "List decisions of rules, with their reasons."),
    "trigger": ("retrainer.cli.rules:trigger", "Request a manual run."),
    "backfill": ("retrainer.cli.backfill:backfill", "Start runs for past slots of a rule's schedules."),
    "shadow": ("retrainer.cli.shadow:shadow", "Report what rules in mode shadow would have done."),
    "pause": ("retrainer.cli.rules:pause", "Pause a rule until it is resumed."),
    "resume": ("retrainer.cli.rules:resume", "End a pause, and close the rule's circuit breakers."),
    "runs": ("retrainer.cli.runs:runs", "List, show, follow, cancel and retry runs, and print their logs."),
    "status": ("retrainer.cli.status:status", "Show whether the daemon is ready, and what it waits for."),
    "log-level": ("retrainer.cli.log_level:log_level", "Show or change the level of the daemon's log."),
    "upcoming": ("retrainer.cli.upcoming:upcoming", "List what the rules will decide, and what would hold each run."),
    "activity": ("retrainer.cli.activity:activity", "List who did what, and what was refused."),
    "sources": ("retrainer.cli.sources:sources", "List and show sources, and reset partitions."),
    "replay": ("retrainer.cli.replay:replay", "Read a source again, for rules that did not count its events."),
    "state": ("retrainer.cli.state:state", "Import when models were last trained, before retrainer was used."),
    "events": ("retrainer.cli.events:events", "List and show events."),
    "dead-letters": ("retrainer.cli.dead_letters:dead_letters", "List, show, replay and discard dead letters."),
    "finalizers": ("retrainer.cli.finalizers:finalizers", "Remove the finalizer from Workflows of a removed daemon."),
    "store": ("retrainer.cli.store:store", "Back up, restore, check, migrate, export or import the store."),
    "runbook": ("retrainer.cli.runbook:runbook", "Print what an alert means, and what to do."),
    "support": ("retrainer.cli.support:support", "Write a bundle for those who help, without secrets."),
    "completion": ("retrainer.cli.completion:completion", "Print the completion script of a shell."),
}


class Commands(click.Group):
    """Lists the commands by name; imports one only when it is called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            self._unknown(ctx, args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])

    def _unknown(self, ctx: click.Context, name: str) -> NoReturn:
        near = get_close_matches(name, COMMANDS, n=1)
        ctx.fail(f"no such command {name!r}" + (f", did you mean {near[0]!r}?" if near else ""))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="retrainer", message="%(version)s")
@connection_options(env=True)
def main() -> None:
    """Decide when models are retrained, and submit each workflow exactly once.

    The daemon's address and token come from --url and --token, or from RETRAINER_URL and RETRAINER_TOKEN; otherwise the
    token comes from the file that RETRAINER_TOKEN_FILE names. If the daemon demands a certificate of its clients, name
    one in RETRAINER_CERT_FILE, and its key in RETRAINER_KEY_FILE.
    """


if __name__ == "__main__":
    main()
