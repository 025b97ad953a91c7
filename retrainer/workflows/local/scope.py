"""PURE: what the tags stand for at one place of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.artifact import given
from retrainer.workflows.local.expression_functions import text_of
from retrainer.workflows.local.node import Outputs
from retrainer.workflows.local.sections import artifacts, parameters
from retrainer.workflows.local.tags import TagError, evaluate, scalar, substitute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from retrainer.workflows.local.node import Ended


@dataclass(frozen=True, slots=True)
class Scope:
    """The values and the artifacts by their tags, such as `steps.train.outputs.parameters.auc`."""

    values: Mapping[str, str]
    artifacts: Mapping[str, object] = field(default_factory=dict)

    def text(self, value: object) -> str:
        """Return a scalar of the template with its tags replaced. Raise TagError."""
        return substitute(scalar(value), self.values)

    def plus(self, values: Mapping[str, str]) -> Scope:
        return Scope({**self.values, **values}, self.artifacts)

    def with_nodes(self, nodes: Iterable[tuple[str, Ended]]) -> Scope:
        """Return the scope with the outputs of nodes, each with its tag, such as `steps.train`."""
        values, artifacts = dict(self.values), dict(self.artifacts)
        for tag, ended in nodes:
            values |= _values(tag, ended)
            artifacts |= {f"{tag}.outputs.artifacts.{name}": one for name, one in ended.outputs.artifacts.items()}
        return Scope(values, artifacts)

    def passed(self, holder: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, object]]:
        """Return the parameters and artifacts of `arguments`. Raise TagError."""
        texts = {item["name"]: self.text(item["value"]) for item in parameters(holder, "arguments")}
        return texts, self._artifacts(holder, "arguments")

    def outputs(self, template: Mapping[str, Any]) -> Outputs:
        """Return the outputs of a dag or of steps, once they have ended. Raise TagError or ExpressionError."""
        found = {item["name"]: self._output(item["valueFrom"]) for item in parameters(template, "outputs")}
        return Outputs(found, self._artifacts(template, "outputs"))

    def artifact(self, item: Mapping[str, Any]) -> object:
        """Return the artifact that an entry stands for; None if it is optional and there is none. Raise TagError."""
        if "fromExpression" in item:
            found = evaluate(self.text(item["fromExpression"]), {**self.values, **self.artifacts})
        else:
            found = given(item, self.artifacts, self.values)
        if found is None and item.keys() & {"from", "fromExpression"} and not item.get("optional"):
            raise TagError(f"the artifact {item['name']} was not made")
        return found

    def _artifacts(self, holder: Mapping[str, Any], section: str) -> dict[str, object]:
        found = {item["name"]: self.artifact(item) for item in artifacts(holder, section)}
        return {name: one for name, one in found.items() if one is not None}

    def _output(self, source: Mapping[str, Any]) -> str:
        try:
            if "expression" in source:
                return text_of(evaluate(self.text(source["expression"]), self.values))
            return self.text(source["parameter"])
        except ValueError:
            if "default" not in source:
                raise
            return self.text(source["default"])


def _values(tag: str, ended: Ended) -> dict[str, str]:
    outputs = ended.outputs
    known = {"status": ended.phase, "outputs.result": outputs.result, "outputs.parameters": outputs.listed}
    known |= {"exitCode": None if outputs.exit_code is None else str(outputs.exit_code)}
    known |= {f"outputs.parameters.{name}": value for name, value in outputs.parameters.items()}
    known |= {"startedAt": timestamp(ended.started), "finishedAt": timestamp(ended.finished)}
    return {f"{tag}.{name}": value for name, value in known.items() if value is not None}


def timestamp(at: float) -> str:
    """Return seconds since the epoch as Kubernetes writes them."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
