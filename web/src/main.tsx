/** Starts the page. */
import { render } from "preact";
import { startSession } from "./api/session";
import { App } from "./app";
import { startClock, startTheme } from "./state";
import "./style/colours.css";
import "./style/base.css";
import "./style/frame.css";
import "./style/views.css";
import "./style/log.css";

startTheme();
startClock();
void startSession();
render(<App />, document.getElementById("page") as HTMLElement);
