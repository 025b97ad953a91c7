import type { ComponentChildren } from "preact";

import { many } from "../state/numbers";
import type { News, Pages } from "../state/pages";
import { Missing, Stale } from "./basics";

import "../styles/pages.css";

interface Props<T> {
  pages: Pages<T>;
  /** What one row is, as "event". */
  what: string;
  /** What is said if there are no rows. */
  none: ComponentChildren;
  /** Beside the number of rows: the order, or what may be done with the rows. */
  beside?: ComponentChildren;
  children: (rows: readonly T[]) => ComponentChildren;
}

/** A list that is read page by page: its rows, how many are shown, what is new, and a button for more. */
export function Listed<T>({ pages, what, none, beside, children }: Props<T>) {
  const { items, problem, more, news } = pages;
  if (items === undefined) return <Missing problem={problem} what={`${what}s`} />;
  const empty = items.length === 0;
  return (
    <>
      <Stale problem={problem} />
      {!empty && (
        <div class="listed">
          <span role="status">{news ? <Waiting news={news} what={what} /> : <span class="muted">{many(items.length, what)}{more && " shown, there are more"}</span>}</span>
          {beside}
        </div>
      )}
      {empty ? <p class="muted">{more ? `No ${what} among the latest that were searched.` : none}</p> : children(items)}
      {more && <div><button onClick={more}>{empty ? "Search earlier ones" : `More ${what}s`}</button></div>}
    </>
  );
}

function Waiting({ news, what }: { news: News; what: string }) {
  const text = news.count === undefined ? "These are not the newest." : news.count === 0 ? "The order has changed." : `${many(news.count, `new ${what}`)}.`;
  return <>{text} <button class="main" onClick={news.show}>{news.count === undefined ? "Back to the newest" : "Show"}</button></>;
}
