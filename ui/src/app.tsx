import { LocationProvider, Route, Router, useLocation } from "preact-iso";
import { useEffect } from "preact/hooks";

import { get } from "./api/client";
import { ActDialog } from "./parts/act";
import { Missing } from "./parts/basics";
import { ActivityScreen } from "./screens/activity";
import { CompareScreen } from "./screens/compare";
import { EventsScreen } from "./screens/events";
import { RulesScreen } from "./screens/rules";
import { LimitsScreen } from "./screens/limits";
import { NowScreen } from "./screens/now";
import { RuleScreen } from "./screens/rule";
import { RunScreen } from "./screens/run";
import { RunsScreen } from "./screens/runs";
import { SourceScreen } from "./screens/source";
import { SourcesScreen } from "./screens/sources";
import { UpcomingScreen } from "./screens/upcoming";
import { SignIn } from "./screens/sign-in";
import { WhatIfScreen } from "./screens/what-if";
import { to } from "./state/address";
import { onKeys } from "./state/keys";
import { live } from "./state/live";
import { useQuery } from "./state/query";
import { session, signOut } from "./state/session";
import { visible } from "./state/text";
import { theme, themes } from "./state/theme";
import { zone } from "./state/zone";

const SCREENS: readonly (readonly [string, string, string])[] = [
  ["Now", "/", "g n"],
  ["Rules", "/rules", "g r"],
  ["Runs", "/runs", "g u"],
  ["Events", "/events", "g e"],
  ["Sources", "/sources", "g s"],
  ["What if", "/what-if", "g w"],
  ["Upcoming", "/upcoming", "g c"],
  ["Limits", "/limits", "g l"],
  ["Activity", "/activity", "g a"],
];

export function App() {
  return (
    <LocationProvider scope={to("")}>
      <a class="skip" href="#main">Skip to the content</a>
      <Bar />
      <main id="main" tabIndex={-1}>
        <Screen />
      </main>
    </LocationProvider>
  );
}

/** The screen of the address; before it, who looks at it is asked for. */
function Screen() {
  if (session.value === undefined) return <Missing problem={undefined} what="the page" />;
  if (session.value === null) return <SignIn />;
  return (
    <>
      <NoLeader />
      <ActDialog />
      <Router>
        <Route path={to("/rules/:rule")} component={RuleScreen} />
        <Route path={to("/runs/compare")} component={CompareScreen} />
        <Route path={to("/runs/:run")} component={RunScreen} />
        <Route path={to("/runs")} component={RunsScreen} />
        <Route path={to("/rules")} component={RulesScreen} />
        <Route path={to("/events")} component={EventsScreen} />
        <Route path={to("/sources/:source")} component={SourceScreen} />
        <Route path={to("/sources")} component={SourcesScreen} />
        <Route path={to("/what-if")} component={WhatIfScreen} />
        <Route path={to("/upcoming")} component={UpcomingScreen} />
        <Route path={to("/limits")} component={LimitsScreen} />
        <Route path={to("/activity")} component={ActivityScreen} />
        <Route path={to("/")} component={NowScreen} />
        <Route default component={NoScreen} />
      </Router>
    </>
  );
}

/** Seconds after which it is asked again who leads: a change of the leader is no change of the store. */
const LEADER_SECONDS = 5;

/** Says on each screen that nothing is decided now. The first screen says it itself. */
function NoLeader() {
  const { path } = useLocation();
  const { data } = useQuery("status", (signal) => get("/api/v1/status", { signal }), LEADER_SECONDS, {});
  if (data?.role !== "no_leader" || isHere(path, to("/"))) return null;
  return <p class="note bad" role="alert">{visible(data.sentence)} What is shown stays as it is until one decides again.</p>;
}

function NoScreen() {
  return (
    <>
      <h1>There is no such screen</h1>
      <p><a href={to("/")}>What is going on now</a></p>
    </>
  );
}

/** Whether a path is a screen or below it; the first screen has nothing below it. */
function isHere(path: string, screen: string): boolean {
  return screen.endsWith("/") ? path === screen || `${path}/` === screen : path === screen || path.startsWith(`${screen}/`);
}

function Bar() {
  const { path, route } = useLocation();
  useEffect(() => onKeys(Object.fromEntries(SCREENS.map(([, address, keys]) => [keys, () => { route(to(address)); }]))), [route]);
  useEffect(() => onKeys({ "/": () => document.getElementById("search")?.focus() }), []);
  return (
    <header class="bar">
      <a class="brand" href={to("/")}>retrainer</a>
      <nav aria-label="Screens">
        {SCREENS.map(([title, address, keys]) => (
          <a key={title} href={to(address)} title={keys} aria-current={isHere(path, to(address)) ? "page" : undefined}>{title}</a>
        ))}
      </nav>
      <div class="tools">
        {session.value && session.value.name !== "anonymous" && (
          <span>
            {session.value.user === "" ? session.value.name : visible(session.value.user)}
            {!session.value.verbs.includes("act") && <span class="muted"> reads only</span>}{" "}
            {session.value.user === "" && <button class="plain" onClick={() => void signOut()}>Sign out</button>}
          </span>
        )}
        <span class="muted" role="status">{live.streaming.value ? "live" : `asks every ${live.seconds} s`}</span>
        <select aria-label="Zone of times" value={zone.value} onChange={(event) => (zone.value = event.currentTarget.value === "local" ? "local" : "UTC")}>
          <option value="UTC">UTC</option>
          <option value="local">local</option>
        </select>
        <select aria-label="Colours" value={theme.value} onChange={(event) => (theme.value = themes.find((each) => each === event.currentTarget.value) ?? "system")}>
          {themes.map((each) => <option key={each} value={each}>{each}</option>)}
        </select>
      </div>
    </header>
  );
}
