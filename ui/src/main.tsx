import "./styles/page.css";

import { render } from "preact";

import { App } from "./app";
import { live } from "./state/live";

const place = document.getElementById("page");
if (place !== null) render(<App />, place);
live.start();
