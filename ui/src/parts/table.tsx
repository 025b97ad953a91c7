import type { ComponentChildren } from "preact";

export interface Column<T> {
  title: string;
  cell: (row: T) => ComponentChildren;
  kind?: "number" | "wrap";
}

interface Props<T> {
  /** What the rows are, for those who hear the page. */
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  id: (row: T) => string | number;
  selected?: T | undefined;
}

/** A table that scrolls within itself where it is narrow. */
export function Table<T>({ label, columns, rows, id, selected }: Props<T>) {
  return (
    <div class="table" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" class={column.kind}>{column.title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={id(row)} aria-selected={selected === undefined ? undefined : row === selected}>
              {columns.map((column) => (
                <td key={column.title} class={column.kind}>{column.cell(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
