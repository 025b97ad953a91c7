import { signal } from "@preact/signals";

import { get, post, remove, type Session } from "../api/client";
import { live } from "./live";

/** Who looks at the page: undefined until it is known, null if a token is needed first. */
export const session = signal<Session | null | undefined>(undefined);

/** Ask who we are, until there is an answer. */
export async function whoAmI(): Promise<void> {
  try {
    const found = await get("/-/session");
    session.value = found.name === "" ? null : found;
    if (session.value !== null) live.listen(false);
  } catch {
    setTimeout(() => void whoAmI(), 2000);
  }
}

/** Send the token once; from then on a cookie stands for it. Throw a Problem if it is refused. */
export async function signIn(token: string): Promise<void> {
  session.value = await post("/-/session", { headers: { Authorization: `Bearer ${token}` } });
  live.listen(true);
}

export async function signOut(): Promise<void> {
  await remove("/-/session");
  session.value = null;
}

/** Whether the caller may do what changes something. */
export function mayAct(): boolean {
  return session.value?.verbs.includes("act") ?? false;
}

/** Whether the caller may do what concerns the whole service: dead letters, positions of sources. */
export function mayAdminister(): boolean {
  return session.value?.verbs.includes("administer") ?? false;
}
