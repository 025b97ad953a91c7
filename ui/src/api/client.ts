import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Rule = Schemas["RuleLine"];
export type Explanation = Schemas["Explanation"];
export type Node = Schemas["Node"];
export type Measured = Schemas["Measured"];
export type Run = Schemas["Run"];
export type RunDetail = Schemas["RunDetail"];
export type Decision = Schemas["Decision"];
export type Event = Schemas["Event"];
export type Session = Schemas["SessionView"];

type Method = "get" | "post" | "put" | "delete";
type PathsWith<M extends Method> = { [P in keyof paths]: paths[P] extends Record<M, object> ? P : never }[keyof paths];
type Operation<P extends keyof paths, M extends Method> = paths[P] extends Record<M, infer O> ? O : never;
type Answer<O> = O extends { responses: { 200: { content: infer C } } } ? C[keyof C] : never;
type Part<O, N extends string> = O extends { parameters: Record<N, infer V> } ? V : O extends { parameters: Partial<Record<N, infer V>> } ? V : never;
type Body<O> = O extends { requestBody?: { content: { "application/json": infer B } } } ? B : never;

/** A request as it is sent, whatever its operation. */
interface Sent {
  path?: Record<string, string | number>;
  query?: Record<string, unknown>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

interface Given<O> {
  path?: Part<O, "path">;
  query?: Part<O, "query">;
  body?: Body<O>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The API is beside the page, also behind a proxy that adds a prefix: the document's base says where. */
export const root = new URL("..", document.baseURI).pathname.replace(/\/$/, "");

/** An answer that is no success: the problem details of the API, or that there was no answer (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly detail: string,
    /** Seconds after which it may be asked again; undefined if that would not help. */
    readonly wait?: number,
  ) {
    super(detail);
  }
}

/** Return what the API answers, typed by its OpenAPI description. Throw a Problem whose text the API wrote. */
export async function get<P extends PathsWith<"get">>(path: P, given: Given<Operation<P, "get">> = {}): Promise<Answer<Operation<P, "get">>> {
  return call("get", path, given as Sent) as Promise<Answer<Operation<P, "get">>>;
}

/** As `get`, for what has a body. */
export async function post<P extends PathsWith<"post">>(path: P, given: Given<Operation<P, "post">> = {}): Promise<Answer<Operation<P, "post">>> {
  return call("post", path, given as Sent) as Promise<Answer<Operation<P, "post">>>;
}

/** As `get`, for what is taken away. */
export async function remove(path: PathsWith<"delete">, given: Sent = {}): Promise<unknown> {
  return call("delete", path, given);
}

/** Seconds to wait if the answer does not say how long. */
const AGAIN = 5;

/** Called when the API asks for a token. */
export const hooks = { onSignedOut: (): void => undefined };

async function call(method: Method, path: string, given: Sent): Promise<unknown> {
  const response = await fetch(root + filled(path, given), {
    method,
    headers: { ...(given.body === undefined ? {} : { "Content-Type": "application/json" }), ...given.headers },
    ...(given.body === undefined ? {} : { body: JSON.stringify(given.body) }),
    ...(given.signal === undefined ? {} : { signal: given.signal }),
  }).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "The service does not answer. The page asks again by itself.", AGAIN);
  });
  const json = (response.headers.get("Content-Type") ?? "").includes("json");
  const answer: unknown = json ? await response.json() : await response.text();
  if (response.ok) return answer;
  if (response.status === 401) hooks.onSignedOut();
  const wait = response.status === 503 ? Number(response.headers.get("Retry-After")) || AGAIN : undefined;
  throw new Problem(response.status, detailOf(answer) ?? `the service answered ${response.status}`, wait);
}

function filled(path: string, given: Sent): string {
  const named = given.path ?? {};
  const query = Object.entries(given.query ?? {}).flatMap(([name, value]) =>
    value === undefined || value === null ? [] : (Array.isArray(value) ? value : [value]).map((each) => [name, String(each)]),
  );
  const text = new URLSearchParams(query).toString();
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(named[name] ?? "")) + (text === "" ? "" : `?${text}`);
}

function detailOf(answer: unknown): string | undefined {
  if (typeof answer !== "object" || answer === null || !("detail" in answer)) return undefined;
  return typeof answer.detail === "string" ? answer.detail : undefined;
}
