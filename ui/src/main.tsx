import "./styles/page.css";

import { render } from "preact";

import { App } from "./app";
import { hooks } from "./api/client";
import { live } from "./state/live";
import { session, whoAmI } from "./state/session";

const place = document.getElementById("page");
if (place !== null) render(<App />, place);
hooks.onSignedOut = () => {
  session.value = null;
};
live.start();
void whoAmI();
