// The lab's own page: its training is there as soon as the page is, for whoever waits for window.lab.
import { dress } from "./lab.js";
import training from "./training.js";

dress();
training(document.getElementById("lab-training"));
