// The lab's two rooms, built into the places that the chapter keeps for them.
import { h } from "./page.js";
import { samplingRoom } from "./sampling.js";
import { trainingRoom } from "./training.js";

document.head.append(h("link", { rel: "stylesheet", href: new URL("lab.css", import.meta.url).href }));
window.lab = trainingRoom(document.getElementById("lab-training"));
samplingRoom(document.getElementById("lab-sampling"));
