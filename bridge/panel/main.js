/** The page: one state, one desk that changes it, and the views of it. */

import { Api } from "./api.js";
import { bars } from "./bar.js";
import { compareView } from "./compare.js";
import { Desk } from "./desk.js";
import { eventList } from "./events.js";
import { historyView } from "./history.js";
import { keys } from "./keys.js";
import { laneRows } from "./lane.js";
import { libraryView } from "./library.js";
import { marks } from "./marks.js";
import { presetMenu } from "./presets.js";
import { queryBox } from "./query.js";
import { sourceList } from "./sources.js";
import { steerView } from "./steer.js";
import { fresh, Store } from "./store.js";
import { timeline } from "./timeline.js";

const store = new Store(fresh());

/** What the views and keys act on; tests reach the page through it. */
export const desk = new Desk(store, new Api());

for (const view of [
  ...[bars, sourceList, queryBox, presetMenu, timeline, laneRows],
  ...[steerView, marks, eventList, compareView, historyView, libraryView, keys],
]) {
  view(desk);
}
// Between two reports of the mixer the playhead moves by the clock; a page at rest draws nothing.
store.watch((state) => {
  if (state.playing) requestAnimationFrame(() => desk.moved());
});
void desk.start();
