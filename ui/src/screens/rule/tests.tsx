import { get } from "../../api/client";
import { Missing } from "../../parts/basics";
import { Copy } from "../../parts/copy";
import { Table } from "../../parts/table";
import { Lines } from "../../parts/text";
import { useQuery } from "../../state/query";
import { visible } from "../../state/text";

/** The tests that name the rule, and one made from its last run to begin with. */
export function Tests({ rule }: { rule: string }) {
  const found = useQuery(`tests ${rule}`, (signal) => get("/api/v1/rules/{rule}/tests", { path: { rule }, signal }));
  if (found.data === undefined) return <Missing problem={found.problem} what="tests" />;
  const { tests, example } = found.data;
  return (
    <div class="tab">
      <p class="muted">The service runs no tests, so it knows no results: run them where the rules are reviewed.</p>
      {tests.length === 0 ? (
        <p>No test names this rule in the files <code>*_test.yaml</code> beside the rule files of this service. There may be some elsewhere, such as in the repository of the rules.</p>
      ) : (
        <Table
          label="Tests of the rule"
          rows={tests}
          id={(test) => `${test.file} ${test.line}`}
          columns={[
            { title: "Test", kind: "wrap", cell: ({ name }) => visible(name) },
            { title: "File", kind: "wrap", cell: ({ file, line }) => <code>{visible(`${file}:${line}`)}</code> },
            { title: "To run it", kind: "wrap", cell: ({ command }) => <code>{visible(command)}</code> },
          ]}
        />
      )}
      {example === "" ? (
        <p class="muted">An example is made from a run that events started: there is none among the latest.</p>
      ) : (
        <>
          <p>A test made from the last run that events started. It begins without data: correct it where earlier runs or limits matter. Save it beside the rule file, as <code>{rule}_test.yaml</code>.</p>
          <div class="choices"><Copy text={example} what="Copy the test" /></div>
          <Lines text={example} first={1} label="An example of a test" />
        </>
      )}
    </div>
  );
}
