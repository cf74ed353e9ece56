// Where the page begins.

import "uplot/dist/uPlot.min.css";
import "./style/fonts.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/parts.css";
import "./style/tables.css";
import "./style/device.css";
import "./style/pages.css";
import { render } from "preact";
import { App } from "./app";
import { followLink, startRoute } from "./route";
import { startSession } from "./session";
import { startClock } from "./text/time";
import { startTheme } from "./theme";

startTheme();
startRoute();
startClock();
document.addEventListener("click", followLink);
void startSession();

const place = document.getElementById("page");
if (place) {
  place.textContent = "";
  render(<App />, place);
}
