// The control worker's program (src/control.ts), started by the node in a thread of its own.
require("./launch.cjs").launch("control");
