import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { type RowsInSight, useRowsInSight } from "./rows-in-sight";
import { onKeys } from "../state/keys";

export interface Column<T> {
  title: string;
  cell: (row: T) => ComponentChildren;
  /** Classes of its cells: "number", "wrap", or those of the screen. */
  kind?: string;
}

/** Rows that are marked, to do something with them. */
export interface Marks<T> {
  has: (row: T) => boolean;
  toggle: (row: T) => void;
}

interface Props<T> {
  /** What the rows are, for those who hear the page. */
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  id: (row: T) => string | number;
  selected?: T | undefined;
  /** Rows in all, if not all are here yet. */
  total?: number | undefined;
  /** The last row is in sight, and there are more. */
  more?: (() => void) | undefined;
  /** Called with the first and the last row in sight. */
  inSight?: (first: number, last: number) => void;
  /** Enter opens the row that `j` and `k` have reached. */
  open?: (row: T) => void;
  /** Each row has a box; the space bar marks the row that `j` and `k` have reached. */
  marks?: Marks<T> | undefined;
}

/** Rows from which on only those in sight are drawn. */
const MANY = 100;

/** A table that scrolls within itself where it is narrow. Of many rows, only those in sight are drawn. */
export function Table<T>(props: Props<T>) {
  const { label, columns, rows, total = rows.length } = props;
  const many = total > MANY;
  const Body = many ? RowsInSightOf<T> : AllRows<T>;
  return (
    <div class="table" role="region" aria-label={label} tabIndex={0}>
      <table class={many ? "many" : undefined} aria-rowcount={many ? total + 1 : undefined}>
        <thead>
          <tr aria-rowindex={many ? 1 : undefined}>
            {props.marks && <th scope="col" class="mark"><span class="hidden">Marked</span></th>}
            {columns.map((column) => (
              <th key={column.title} scope="col" class={column.kind}>{column.title}</th>
            ))}
          </tr>
        </thead>
        <Body {...props} />
      </table>
    </div>
  );
}

function AllRows<T>(props: Props<T>) {
  const body = useRef<HTMLTableSectionElement>(null);
  const current = useKeys(props, body, (index) => { rowOf(body.current, index)?.scrollIntoView({ block: "nearest" }); });
  useEnd(props, props.rows.length > 0);
  return <tbody ref={body}>{props.rows.map((row, index) => <Row key={props.id(row)} {...props} row={row} index={index} isCurrent={index === current} />)}</tbody>;
}

function RowsInSightOf<T>(props: Props<T>) {
  const { rows, id, columns, marks, inSight: tell } = props;
  const body = useRef<HTMLTableSectionElement>(null);
  const inSight = useRowsInSight(body, rows.length, (index) => idAt(rows, id, index));
  const current = useKeys(props, body, inSight.show);
    const [first, last] = [inSight.indices[0] ?? 0, inSight.indices.at(-1) ?? 0];
  useEffect(() => tell?.(first, last), [tell, first, last]);
  useEnd(props, last >= rows.length - MANY / 2);
  const width = columns.length + (marks ? 1 : 0);
  return (
    <tbody ref={body}>
      <Gap height={inSight.before} width={width} />
      {inSight.indices.map((index) => {
        const row = rows[index];
        return row === undefined ? null : <Row key={id(row)} {...props} row={row} index={index} isCurrent={index === current} measure={inSight.measure} />;
      })}
      <Gap height={inSight.after} width={width} />
    </tbody>
  );
}

function idAt<T>(rows: readonly T[], id: (row: T) => string | number, index: number): string | number {
  const row = rows[index];
  return row === undefined ? index : id(row);
}

/** The place of rows that are not drawn. */
function Gap({ height, width }: { height: number; width: number }) {
  return <tr class="gap" aria-hidden="true"><td colSpan={width} style={{ height: `${height}px` }} /></tr>;
}

interface RowProps<T> extends Props<T> {
  row: T;
  index: number;
  isCurrent: boolean;
  measure?: RowsInSight["measure"];
}

function Row<T>({ columns, row, index, isCurrent, measure, id, selected, open, marks, total }: RowProps<T>) {
  const onKey = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = event.key === "Enter" ? open : event.key === " " ? marks?.toggle : undefined;
    if (act === undefined) return;
    event.preventDefault();
    act(row);
  };
  return (
    <tr
      ref={measure ?? null}
      data-index={index}
      aria-rowindex={measure || total !== undefined ? index + 2 : undefined}
      aria-selected={marks ? marks.has(row) : selected === undefined ? undefined : row === selected}
      tabIndex={open || marks ? (isCurrent ? 0 : -1) : undefined}
      onKeyDown={open || marks ? onKey : undefined}
    >
      {marks && <td class="mark"><input type="checkbox" aria-label={`Mark ${id(row)}`} checked={marks.has(row)} onChange={() => { marks.toggle(row); }} /></td>}
      {columns.map((column) => (
        <td key={column.title} class={column.kind}>{column.cell(row)}</td>
      ))}
    </tr>
  );
}

/** `j` and `k` move from row to row. Returns the index of the row that they have reached. */
function useKeys<T>({ rows, open, marks }: Props<T>, body: RefObject<HTMLElement | null>, show: (index: number) => void): number | undefined {
  const [current, setCurrent] = useState<number>();
  // Keys may follow each other faster than the page is drawn.
  const latest = useRef({ current, last: -1, show });
  latest.current = { ...latest.current, last: rows.length - 1, show };
  const far = useRef<number | undefined>(undefined);
  const drawn = useRef<(() => void) | undefined>(undefined);
  const isUsed = (open !== undefined || marks !== undefined) && rows.length > 0;
  useEffect(() => {
    if (!isUsed) return undefined;
    const move = (by: number) => () => {
      const { current: before, last, show: showRow } = latest.current;
      const next = before === undefined ? 0 : Math.min(Math.max(before + by, 0), last);
      latest.current.current = next;
      setCurrent(next);
      showRow(next);
      far.current = next;
      focusFar();
    };
    // A row that is far away is focused as soon as it is drawn.
    const focusFar = () => {
      const row = far.current === undefined ? null : rowOf(body.current, far.current);
      row?.focus({ preventScroll: true });
      if (row !== null) far.current = undefined;
    };
    drawn.current = focusFar;
    return onKeys({ j: move(1), k: move(-1) });
  }, [isUsed, body]);
  useEffect(() => { drawn.current?.(); });
  return current;
}

function rowOf(body: HTMLElement | null, index: number): HTMLElement | null {
  return body?.querySelector<HTMLElement>(`tr[data-index="${index}"]`) ?? null;
}

/** Ask for more rows once the end is in sight. */
function useEnd<T>({ more, rows }: Props<T>, isNear: boolean): void {
  const asked = useRef<readonly T[] | undefined>(undefined);
  useEffect(() => {
    if (!isNear || more === undefined || asked.current === rows) return;
    asked.current = rows;
    more();
  }, [isNear, more, rows]);
}
