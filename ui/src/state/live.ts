import { signal, type ReadonlySignal } from "@preact/signals";

import { root } from "../api/client";
import { EVERYTHING, type Hint, Hints } from "./hints";

/**
 * How the page learns of changes: `version` is the number of the last hint. Now and then everything is asked for.
 *
 * The service sends hints over one stream. HTTP/1.1 lets a browser open six connections to one service, so only one of
 * its tabs holds the stream, by a lock, and passes the hints on. Without locks, which browsers have on secure origins
 * only, or without a stream, each tab asks at intervals.
 */
const version = signal(0);
const hints = new Hints();
const streaming = signal(false);
const POLL_SECONDS = 5;
const SLOW_POLL_SECONDS = 30;
const channel = new BroadcastChannel("retrainer.changes");
let missed = false;
let source: EventSource | undefined;
let holdsStream = false;
let signedIn = false;
let asked = Date.now();

function ask(hint: Hint = EVERYTHING): void {
  if (!signedIn) return;
  if (document.visibilityState !== "visible") {
    missed = true;
    return;
  }
  missed = false;
  if (hint.everything) asked = Date.now();
  version.value = hints.add(hint);
}

/** Hold the stream until the tab closes. */
function hold(): Promise<never> {
  holdsStream = true;
  if (signedIn) open();
  return new Promise(() => undefined);
}

/** Open the stream. A browser opens it again by itself when it was cut, but not when it was refused. */
function open(): void {
  source?.close();
  source = new EventSource(`${root}/api/v1/changes`);
  const tell = (open: boolean) => {
    streaming.value = open;
    channel.postMessage({ open });
  };
  source.addEventListener("open", () => {
    tell(true);
    ask();
  });
  source.addEventListener("error", () => {
    tell(false);
  });
  source.addEventListener("change", ({ data }: MessageEvent<string>) => {
    const change = JSON.parse(data) as Hint;
    ask(change);
    channel.postMessage({ open: true, change });
  });
}

/**
 * Ask for everything, and for the stream: both are refused while nobody is signed in. `isNew`: the session begins now, so
 * the other tabs have to ask anew as well. A tab that only joins them leaves an open stream as it is.
 */
function listen(isNew: boolean): void {
  signedIn = true;
  if (holdsStream) open();
  else channel.postMessage(isNew ? { signedIn } : { joined: true });
  ask();
}

function start(): void {
  channel.addEventListener("message", ({ data }: MessageEvent<{ open?: boolean; change?: Hint; signedIn?: boolean; joined?: boolean }>) => {
    if (data.open !== undefined) streaming.value = data.open;
    if (data.joined && holdsStream && streaming.value) channel.postMessage({ open: true });
    else if ((data.joined || data.signedIn) && holdsStream) open();
    if (data.change) ask(data.change);
    if (data.signedIn) ask();
  });
  setInterval(() => {
    const seconds = streaming.value ? SLOW_POLL_SECONDS : POLL_SECONDS;
    if (Date.now() - asked < seconds * 1000) return;
    ask();
    if (source?.readyState === EventSource.CLOSED) open();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (missed) ask();
  });
  // Typed as always there, and missing on origins that are not secure.
  const locks = navigator.locks as LockManager | undefined;
  void locks?.request("retrainer.changes", hold);
}

/** Ask for everything that is shown, after an act. */
function again(): void {
  ask();
}

export const live = { version: version as ReadonlySignal<number>, hints, streaming, start, listen, again, seconds: POLL_SECONDS };
