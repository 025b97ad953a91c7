import { get, type Schemas } from "../api/client";
import { now } from "../state/now";
import { useQuery } from "../state/query";
import { visible } from "../state/text";
import { span } from "../state/time";
import { toneOfNode } from "../state/tones";
import { Missing, Moment, Panel, Stale, State } from "./basics";
import { Table } from "./table";

type Node = Schemas["WorkflowNode"];
export type Workflow = Schemas["RunWorkflow"];

/** Seconds between two looks at a Workflow that runs: nodes change without a hint. */
const EVERY = 5;
/** Deeper nodes are not indented further. */
const DEEPEST = 8;

/** The nodes of a run's Workflow, in the words of its engine. */
export function Nodes({ run, runs }: { run: string; runs: boolean }) {
  const found = useQuery(`workflow ${run}`, (signal) => get("/api/v1/runs/{run}/workflow", { path: { run }, signal }), runs ? EVERY : undefined, { runs: [run] });
  const shown = found.data;
  return (
    <Panel title="Workflow" extra={shown && <span class="muted mono">{shown.namespace}/{shown.name}</span>}>
      {shown === undefined ? <Missing problem={found.problem} what="the Workflow" /> : <Found workflow={shown} />}
      <Stale problem={shown && found.problem} />
    </Panel>
  );
}

function Found({ workflow }: { workflow: Workflow }) {
  return (
    <>
      {workflow.stuck !== "" && <p class={`note ${workflow.phase === "Failed" || workflow.phase === "Error" ? "bad" : "wait"}`}>{visible(workflow.stuck)}</p>}
      {workflow.note !== "" && <p class="note">{visible(workflow.note)}</p>}
      {workflow.nodes.length > 0 ? (
        <Table
          label="Nodes"
          rows={workflow.nodes}
          id={(node) => node.id}
          columns={[
            { title: "Node", kind: "wrap", cell: (node) => <span class={`node depth-${Math.min(node.depth, DEEPEST)}`}>{visible(node.name)} <span class="muted">{node.type}</span></span> },
            { title: "Phase", cell: (node) => <State tone={toneOfNode(node.phase)}>{visible(node.phase)}</State> },
            { title: "Started", cell: (node) => (node.started_at ? <Moment at={node.started_at} /> : <span class="muted">not yet</span>) },
            { title: "Took", kind: "number", cell: (node) => <Took node={node} /> },
            { title: "Exit", kind: "number", cell: (node) => node.exit_code ?? "" },
            { title: "Message", kind: "wrap", cell: (node) => visible(node.message) },
            { title: "Template", kind: "wrap", cell: (node) => <span class="muted">{visible(node.template)}</span> },
          ]}
        />
      ) : (
        workflow.state === "exists" && workflow.note === "" && <p class="muted">No node has started yet.</p>
      )}
    </>
  );
}

/** How long a node ran, or has run so far. */
function Took({ node }: { node: Node }) {
  if (!node.started_at) return null;
  const end = node.finished_at ? Date.parse(node.finished_at) : now.value;
  return <>{span(Math.max(0, end - Date.parse(node.started_at)) / 1000)}{!node.finished_at && " …"}</>;
}
