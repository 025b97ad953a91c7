import type { ComponentChildren } from "preact";

import { post, type Schemas } from "../api/client";
import { to } from "../state/address";
import { bytes, many, number } from "../state/numbers";
import { visible } from "../state/text";
import { Act } from "./act";
import { State } from "./basics";
import { Table } from "./table";

type Replayed = Schemas["Replayed"];

/** Letters that one act takes. `more`: more match than it takes. */
export interface Wanted {
  ids: readonly number[];
  more: boolean;
}

interface Props {
  subject: string;
  /** The letters that are meant, when the dialog needs them. */
  wanted: () => Promise<Wanted>;
}

/** Letters of one request. */
const AT_ONCE = 500;

function More({ ids, more }: Wanted) {
  return more && <p class="note wait">More letters match: these are the {number(ids.length)} newest, the most for one act. Do it again for the others.</p>;
}

/** Send an act for letters in parts; return the answers. */
async function inParts<T>(ids: readonly number[], send: (ids: number[]) => Promise<T>): Promise<T[]> {
  const answers: T[] = [];
  for (let begin = 0; begin < ids.length; begin += AT_ONCE) answers.push(await send(ids.slice(begin, begin + AT_ONCE)));
  return answers;
}

/** Process dead letters again, after a preview of what each would do. */
export function Replay({ subject, wanted }: Props) {
  return (
    <Act
      button="Replay …"
      title="Replay dead letters"
      subject={subject}
      what="Each is offered again to the rule that failed on it. One that counts is no dead letter any more; one that fails again stays."
      preview={async () => {
        const { ids, more } = await wanted();
        if (ids.length === 0) return <p>There are none.</p>;
        // The oldest letters are looked at; the others are counted.
        const answer = await post("/api/v1/dead-letters/replay", { body: { ids: [...ids].sort((a, b) => a - b).slice(0, AT_ONCE), dry_run: true } });
        return <><More ids={ids} more={more} /><Preview answer={answer} more={answer.unchecked + Math.max(0, ids.length - AT_ONCE)} /></>;
      }}
      send={async () => {
        const answers = await inParts((await wanted()).ids, (part) => post("/api/v1/dead-letters/replay", { body: { ids: part } }));
        const replayed = answers.reduce((total, answer) => total + answer.replayed, 0);
        const failed = answers.flatMap((answer) => answer.failed);
        const first = failed[0];
        return {
          text: `${many(replayed, "dead letter")} replayed, ${failed.length} kept${first ? `; the first: ${first.id}: ${first.error}` : ""}.`,
          link: { text: "Show events", address: to("/events") },
        };
      }}
    />
  );
}

function Preview({ answer, more }: { answer: Replayed; more: number }): ComponentChildren {
  return (
    <>
      <p>
        <strong>{answer.replayed}</strong> would count or be settled, <strong>{answer.failed.length}</strong> would stay dead letters{more > 0 && `; ${more} more were not looked at`}. Each was tried alone: several together may complete a batch.
      </p>
      <div class="preview-rows">
        <Table
          label="What a replay would do"
          rows={answer.letters}
          id={(letter) => letter.id}
          columns={[
            { title: "Letter", kind: "number", cell: ({ id }) => id },
            { title: "Rule", cell: ({ rule }) => rule },
            { title: "Would", cell: ({ kept }) => <State tone={kept ? "bad" : "good"}>{kept ? "stay" : "be settled"}</State> },
            { title: "Detail", kind: "wrap", cell: ({ detail }) => visible(detail) },
          ]}
        />
      </div>
    </>
  );
}

/** Delete dead letters for good, after a preview of how many there are. */
export function Discard({ subject, wanted }: Props) {
  return (
    <Act
      button="Discard …"
      title="Discard dead letters"
      subject={subject}
      what="They are deleted permanently. No rule will count them."
      preview={async () => {
        const { ids, more } = await wanted();
        const answers = await inParts(ids, (part) => post("/api/v1/dead-letters/discard", { body: { ids: part, dry_run: true } }));
        const count = answers.reduce((total, answer) => total + answer.discarded, 0);
        const size = answers.reduce((total, answer) => total + (answer.size ?? 0), 0);
        return <><More ids={ids} more={more} /><p><strong>{many(count, "dead letter")}</strong> with {bytes(size)} would be deleted.</p></>;
      }}
      send={async () => {
        const answers = await inParts((await wanted()).ids, (part) => post("/api/v1/dead-letters/discard", { body: { ids: part } }));
        return { text: `${many(answers.reduce((total, answer) => total + answer.discarded, 0), "dead letter")} deleted.` };
      }}
    />
  );
}
