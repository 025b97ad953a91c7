import { get, type Schemas } from "../../api/client";
import { Missing, Moment } from "../../parts/basics";
import { Copy } from "../../parts/copy";
import { Difference, Lines } from "../../parts/text";
import { to, useParameter } from "../../state/address";
import { useQuery } from "../../state/query";
import { visible } from "../../state/text";
import { Editor } from "./editor";

type Source = Schemas["RuleSource"];
type Detail = Schemas["RuleDetail"];

/** The text of the rule with its file and lines, what it was for a run or an earlier revision, and a copy to edit. */
export function Configuration({ line }: { line: Detail }) {
  const [run] = useParameter("run");
  const [given, setRevision] = useParameter("revision");
  const [editing, setEditing] = useParameter("edit");
  const rule = line.name;
  const current = useQuery(`source ${rule}`, (signal) => get("/api/v1/rules/{rule}/source", { path: { rule }, signal }));
  if (current.data === undefined) return <Missing problem={current.problem} what="the text of the rule" />;
  const source = current.data;
  if (editing !== "") return <Editor key={source.revision} source={source} onClose={() => { setEditing(""); }} />;
  return (
    <div class="tab">
      <p>
        <code>{visible(source.file)}</code>, from line {source.line} on; revision <code>{source.revision}</code>, which is in force.
      </p>
      {source.problems.length > 0 && <Broken source={source} />}
      {source.inherits.length > 0 && <p class="muted">Fields that are not here come from {visible(source.inherits.join(" and "))}.</p>}
      <div class="choices">
        <button onClick={() => { setEditing("1"); }}>Edit a copy</button>
        <Copy text={source.text} what="Copy the text" />
        <Revisions source={source} given={given} set={setRevision} />
      </div>
      {given !== "" && given !== source.revision && <Earlier source={source} revision={given} />}
      {given === "" && run !== "" && <OfRun source={source} run={run} />}
      <Lines text={source.text} first={source.line} label="The text of the rule" />
      <details>
        <summary>The rule as it is in force, with what defaults and templates put in</summary>
        <pre class="text">{visible(JSON.stringify(line.configuration, null, 2))}</pre>
      </details>
    </div>
  );
}

function Broken({ source }: { source: Source }) {
  return (
    <>
      <p class="note bad">The file has mistakes now. Its last good text, which is shown here, is in force.</p>
      <ul class="findings" aria-label="Mistakes of the file">
        {source.problems.map((problem, at) => (
          <li key={at}>{problem.line}:{problem.column} <code>{visible(problem.path)}</code> {visible(problem.message)}: <strong>{visible(problem.hint)}</strong></li>
        ))}
      </ul>
    </>
  );
}

function Revisions({ source, given, set }: { source: Source; given: string; set: (value: string) => void }) {
  const earlier = source.revisions.filter((each) => !each.in_force);
  if (earlier.length === 0) return <span class="muted">No earlier text is kept.</span>;
  return (
    <label>
      Compare with
      <select value={given} onChange={(event) => { set(event.currentTarget.value); }}>
        <option value="">no earlier revision</option>
        {given !== "" && !earlier.some((each) => each.revision === given) && <option value={given}>{visible(given)}</option>}
        {earlier.map((each) => <option key={each.revision} value={each.revision}>{each.revision}, first loaded {each.since}</option>)}
      </select>
    </label>
  );
}

/** How the text differs from the one that a run was made with. */
function OfRun({ source, run }: { source: Source; run: string }) {
  const found = useQuery(`run ${run}`, (signal) => get("/api/v1/runs/{run}", { path: { run }, signal }));
  if (found.data === undefined) return <Missing problem={found.problem} what={`run ${run}`} />;
  if (found.data.rule !== source.rule) return <p class="note bad">Run {visible(run)} is of the rule {found.data.rule}.</p>;
  return (
    <>
      <p>
        <a href={to(`/runs/${found.data.id}`)}>Run {found.data.id.slice(-6)}</a> of <Moment at={found.data.created_at} long /> was made with revision <code>{found.data.revision}</code>
        {found.data.revision === source.revision && ", which is in force"}.
      </p>
      {found.data.revision !== source.revision && <Earlier source={source} revision={found.data.revision} />}
    </>
  );
}

function Earlier({ source, revision }: { source: Source; revision: string }) {
  const found = useQuery(`source ${source.rule} ${revision}`, (signal) =>
    get("/api/v1/rules/{rule}/source", { path: { rule: source.rule }, query: { revision }, signal }),
  );
  if (found.data === undefined) return <Missing problem={found.problem} what="the earlier text" />;
  return (
    <>
      {found.data.text === source.text && <p class="note wait">The lines of the rule are the same: what differs comes from defaults, a template or a calendar.</p>}
      <Difference before={found.data.text} after={source.text} label={`From revision ${revision} to the one in force`} />
    </>
  );
}
