import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { type RowsInSight, useRowsInSight } from "./rows-in-sight";
import { onKeys } from "../state/keys";

export interface Column<T> {
  title: string;
  cell: (row: T) => ComponentChildren;
  kind?: "number" | "wrap" | "detail";
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
  const current = useKeys(props, (index) => { rowOf(body.current, index)?.scrollIntoView({ block: "nearest" }); });
  useFocus(body.current, current);
  useEnd(props, props.rows.length > 0);
  return <tbody ref={body}>{props.rows.map((row, index) => <Row key={props.id(row)} {...props} row={row} index={index} isCurrent={index === current} />)}</tbody>;
}

function RowsInSightOf<T>(props: Props<T>) {
  const { rows, id, columns, marks } = props;
  const body = useRef<HTMLTableSectionElement>(null);
  const inSight = useRowsInSight(body, rows.length, (index) => idAt(rows, id, index));
  const current = useKeys(props, inSight.show);
  useFocus(body.current, current);
  useEnd(props, (inSight.indices.at(-1) ?? 0) >= rows.length - MANY / 2);
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
function useKeys<T>({ rows, open, marks }: Props<T>, show: (index: number) => void): number | undefined {
  const [current, setCurrent] = useState<number>();
  const last = rows.length - 1;
  const isUsed = (open !== undefined || marks !== undefined) && last >= 0;
  useEffect(() => {
    if (!isUsed) return undefined;
    const move = (by: number) => () => {
      const next = current === undefined ? 0 : Math.min(Math.max(current + by, 0), last);
      setCurrent(next);
      show(next);
    };
    return onKeys({ j: move(1), k: move(-1) });
  }, [isUsed, current, last, show]);
  return current;
}

function rowOf(body: HTMLElement | null, index: number): HTMLElement | null {
  return body?.querySelector<HTMLElement>(`tr[data-index="${index}"]`) ?? null;
}

/** Focus the row that was reached, as soon as it is drawn. */
function useFocus(body: HTMLElement | null, current: number | undefined): void {
  const focused = useRef<number | undefined>(undefined);
  useEffect(() => {
    if (current === undefined || focused.current === current) return;
    const row = rowOf(body, current);
    if (row === null) return;
    row.focus({ preventScroll: true });
    focused.current = current;
  });
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
