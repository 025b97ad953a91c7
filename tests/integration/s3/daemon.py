"""The daemon as a process with the local engine, as on a user's machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.houses.daemon import DaemonProcess

if TYPE_CHECKING:
    from pathlib import Path

# Reads its manifest from its location, and outputs the number of inputs and their keys.
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  arguments: {parameters: [{name: manifest}]}
  templates:
    - name: main
      inputs: {parameters: [{name: manifest}]}
      script:
        image: python:3.11
        command: [python]
        source: |
          import json
          from urllib.request import ProxyHandler, build_opener
          address = "{{inputs.parameters.manifest}}"
          if address.startswith("s3://"):
              address = address.replace("s3://", "S3-ADDRESS/")
          with build_opener(ProxyHandler({})).open(address) as answer:
              manifest = json.load(answer)
          assert manifest["count"] == len(manifest["inputs"])
          open("/tmp/keys", "w").write(json.dumps(sorted(one["key"] for one in manifest["inputs"])))
      outputs: {parameters: [{name: keys, valueFrom: {path: /tmp/keys}}]}
"""


class Daemon(DaemonProcess):
    """A daemon whose runs read their manifest from an address like those of S3."""

    stops_within = 60.0

    def __init__(
        self, folder: Path, s3_address: str, sources: dict[str, Any], rules: list[dict[str, Any]], **settings: Any
    ) -> None:
        engine = {"type": "local", "templates": "templates", "runs": "runs"}
        base = {"version": 1, "rules": ["rules.yaml"], "engine": engine, "store": {"path": "store.db"}}
        super().__init__(folder, base | {"http": {"port": 0}} | settings)
        (folder / "templates").mkdir()
        (folder / "templates/train.yaml").write_text(TEMPLATE.replace("S3-ADDRESS", s3_address))
        (folder / "rules.yaml").write_text(json.dumps({"version": 1, "sources": sources, "rules": rules}))
