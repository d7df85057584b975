/** All heatmaps of the page, one a run: what they show, cursor and flow. */

import {captionOf, messageOf} from './notices.js';
import {columnOf} from '../scales/axis.js';
import {element, keyed} from '../basics/dom.js';
import {runLabel, short} from '../basics/format.js';
import {hasNoFlow, profileOf} from './depth_profile.js';
import {Heatmap} from './heatmap.js';
import {awaitedHeight} from './row_places.js';
import {silenceAt, valueAt} from './readout.js';
import {deadIn} from '../data/dead_units.js';

/**
 * What is shown.
 * @typedef {{runs: Object[], resultOf: (run: Object) => Object,
 *     alarmOf: (run: Object) => string, earlierOf: (run: Object) => ?Object,
 *     description: Object, rows: string, look: Object, scale: Object,
 *     axis: Object,
 *     colorOf: (name: string) => string, zoom: Object, unfolded: string[]}}
 *     Scene
 */

/** `node` goes into the document. */
export class Heatmaps {
  #update;
  /** @type {Scene} */
  #scene = null;
  #parts = [];

  /** @param {Object} actions see `Heatmap`; and `onSeen(node, run)` */
  constructor(actions) {
    this.node = element('div', {className: 'heatmaps'});
    this.#update = keyed(this.node, (run) => run.name, (run) => {
      const part = new Heatmap({...actions,
        onOpen: (row) => actions.onOpen(run.name, row),
        onScroll: (top, total) => this.#parts.forEach((other) =>
          other.scrollTo(top, total))});
      actions.onSeen(part.node, run.name);
      return part;
    });
  }

  /** @param {Scene} scene */
  draw(scene) {
    this.#scene = scene;
    const {description, rows, look, scale, axis, zoom, unfolded} = scene;
    this.#parts = this.#update(scene.runs);
    this.#parts.forEach((part, index) => {
      const run = scene.runs[index];
      const {grid, error} = scene.resultOf(run);
      part.update({
        run: run.name,
        label: runLabel(run.name),
        color: scene.colorOf(run.name),
        caption: run.error ? ''
          : captionOf(description, description.rows ?? rows,
            isFolded(grid, unfolded)),
        finding: deadIn(grid),
        alarm: scene.alarmOf(run),
        earlier: scene.earlierOf(run),
        message: error ?? messageOf(grid, rows, description),
        isError: error || (grid?.rows && !description.optional),
        awaited: part.grid || run.error ? 0 : awaitedHeight(run),
        grid, look, scale, axis, zoom, noFlow: hasNoFlow(description),
        isOpen: (name) => unfolded.includes(name),
        openKey: unfolded.join('\n'),
      });
    });
  }

  /** Returns the heatmap of a run, nothing if it is not shown. */
  of(name) {
    return this.#parts[this.#scene?.runs.findIndex((r) => r.name === name)];
  }

  /** Shows another part of all runs that are seen; of others, once they are. */
  setZoom(zoom, isSeen) {
    if (!this.#scene) return;
    this.#scene.zoom = zoom;
    this.#parts.forEach((part, index) => {
      if (isSeen(this.#scene.runs[index].name)) part.setZoom(zoom);
    });
  }

  /**
   * Shows the cursor's step in all runs, its cell in one.
   * @return {?Object} what the readout says of that cell
   */
  drawCursor(cursor, isSeen) {
    const {runs, resultOf, colorOf} = this.#scene;
    let cell = null;
    this.#parts.forEach((part, index) => {
      const run = runs[index];
      const {grid} = resultOf(run);
      const text = valueAt(grid, cursor);
      const row = grid?.named.findIndex(({name}) => name === cursor?.name);
      part.showCursor(cursor && {...cursor, row: row ?? -1},
        valueAt(grid, cursor, brief));
      if (isSeen(run.name)) this.#drawFlow(part, run, grid, cursor);
      if (run.name !== cursor?.run || !text) return;
      cell = {step: cursor.step, label: runLabel(run.name), text,
        color: colorOf(run.name), more: silenceAt(grid, cursor),
        row: grid.named[row]};
    });
    return cell;
  }

  #drawFlow(part, run, grid, cursor) {
    if (!grid?.rows || hasNoFlow(this.#scene.description)) {
      part.showFlow([], '');
      return;
    }
    const {runs, resultOf, colorOf} = this.#scene;
    const step = cursor?.step ?? grid.steps.at(-1);
    const profiles = runs.flatMap((other) => {
      const otherGrid = resultOf(other).grid;
      return otherGrid?.rows && !otherGrid.groups ? [{run: other.name,
        color: colorOf(other.name), isOwn: other === run,
        points: profileOf(grid, otherGrid, step)}] : [];
    });
    const shownStep = grid.steps[columnOf(grid.steps, step)];
    const {label} = this.#scene.description;
    part.showFlow(profiles, `${label} by depth, step ${shownStep}`);
  }
}

/** Returns the digits of a number that help beside others. */
const brief = (value) => short(value, 2);

/** Returns whether a line stands for several rows. */
function isFolded(grid, unfolded) {
  return Boolean(grid?.blocks?.some(({name, from, to}) =>
    to - from > 1 && !unfolded.includes(name)));
}
