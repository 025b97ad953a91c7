"""PURE: turns the daemon's answers into lines of rich markup, each fact once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from retrainer.util.timefmt import epoch

if TYPE_CHECKING:
    from collections.abc import Mapping

_COLORS = {"SUCCEEDED": "green", "FAILED": "red", "ERROR": "red", "CANCELLED": "yellow", "UNKNOWN": "red"}
_VERDICTS = {"fire": "bold green", "hold": "yellow", "skip": "dim"}


class Story:
    """Remembers what was reported. Feed it all items from the API, old and new. ``needed`` rows make the rule fire."""

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.rows = 0
        """Rows that no run has consumed yet."""
        self.earliest: float | None = None
        """When the rule fires without further data, in seconds since the epoch; None if not known."""
        self.ended: Mapping[str, Any] | None = None
        """The first run that ended since the beginning."""
        self.last_verdict = "nothing was decided yet"
        self._newest_event = 0
        self._decisions: set[Any] = set()
        self._runs: dict[str, tuple[str, str]] = {}

    def begin(self, events: list[Any], decisions: list[Any], runs: list[Any]) -> None:
        """Ignore what happened before, except runs that have not ended."""
        self._newest_event = max((event["seq"] for event in events), default=0)
        self._decisions = {decision["id"] for decision in decisions}
        self._runs = {run["id"]: (run["phase"], "") for run in runs if run["ended_at"] is not None}

    def explained(self, explanation: Mapping[str, Any]) -> None:
        """Update the pending rows from the explanation's tree."""
        leaves = _leaves(explanation["tree"])
        self.rows = sum(int(leaf["state"]) for leaf in leaves if (leaf["name"], leaf["detail"]) == ("rows", "pending"))
        self.earliest = epoch(explanation["earliest"]) if explanation["earliest"] else None

    def events(self, items: list[Any]) -> list[str]:
        """Return lines for new events; several files are combined."""
        new = sorted((e for e in items if e["seq"] > self._newest_event), key=lambda event: event["seq"])
        if not new:
            return []
        self._newest_event = new[-1]["seq"]
        files = [event for event in new if "key" in event["data"]]
        lines = [f"{_label('event')} {escape(_posted(event))}" for event in new if event not in files]
        if files:
            rows = sum(event["data"].get("rows") or 0 for event in files)
            what = files[0]["data"]["key"] if len(files) == 1 else f"{len(files)} files"
            # Fewer pending than just arrived: a run has consumed them.
            pending = f"  [dim]({self.rows:,} of {self.needed:,})[/]" if self.rows >= rows else ""
            lines.append(f"{_label('event')} {escape(what)}, {rows:,} rows{pending}")
        return lines

    def decisions(self, items: list[Any]) -> list[str]:
        """Return a line for each new decision with its reason. The API merges equal consecutive ones."""
        new = sorted((d for d in items if d["id"] not in self._decisions), key=lambda decision: decision["id"])
        self._decisions |= {decision["id"] for decision in new}
        return [self._decision(decision) for decision in new]

    def runs(self, items: list[Any]) -> list[str]:
        """Return lines for runs whose phase or progress changed."""
        lines = []
        for run in sorted(items, key=lambda item: item["id"]):
            before = self._runs.get(run["id"], ("", ""))
            now = (run["phase"], run["progress"])
            if now == before or before[0] in _COLORS:
                continue
            self._runs[run["id"]] = now
            lines.append(f"{_label('run')} {self._run(run, before[0])}")
        return lines

    def _decision(self, decision: Mapping[str, Any]) -> str:
        detail = f": {decision['detail']}" if decision["detail"] else ""
        said = f"{decision['rule']} {decision['decision']} ({decision['reason']}){detail}"
        self.last_verdict = said
        style = _VERDICTS.get(decision["decision"], "default")
        return f"{_label('decision')} [{style}]{escape(said)}[/]"

    def _run(self, run: Mapping[str, Any], before: str) -> str:
        phase = run["phase"]
        color = _COLORS.get(phase)
        name = run["id"][-6:]
        if color is None:
            because = f"  [dim]{escape(run['trigger'])}[/]" if not before else ""
            return f"{name} {phase} {escape(run['progress'])}".rstrip() + because
        self.ended = self.ended or run
        took = f" in {epoch(run['ended_at']) - epoch(run['created_at']):.1f} s"
        said = escape(_score(run["outputs"]) if phase == "SUCCEEDED" else run["message"])
        return f"{name} [bold {color}]{phase}[/]{took}: {said}"


def _label(word: str) -> str:
    return f"[cyan]{word:<8}[/]"


def _posted(event: Mapping[str, Any]) -> str:
    return f"{event['source']}: {event['type']} {event['data']}"


def _leaves(tree: list[Any]) -> list[Any]:
    return [leaf for node in tree for leaf in (_leaves(node["children"]) if node["children"] else [node])]


def _score(outputs: Mapping[str, Any]) -> str:
    parts = [f"auc {outputs['auc']:.4f}"] if isinstance(outputs.get("auc"), float | int) else []
    if outputs.get("champion_auc"):
        parts.append(f"previous champion {outputs['champion_auc']:.4f}")
    parts.append("promoted" if outputs.get("promoted") else "not promoted")
    if outputs.get("rows"):
        parts.append(f"{outputs['rows']:,.0f} rows")
    return ", ".join(parts)


def soon_text(next_at: float | None, now: float) -> str:
    """Return when the rule fires at the latest, as text; empty if not known."""
    return "" if next_at is None else f"at the latest in {max(0, round(next_at - now))} s"
