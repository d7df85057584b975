/** Two pinned runs, cell by cell: where they part, and their ratio. */

import {outside} from '../data/cell_kinds.js';
import {lookOf} from '../scales/colormap.js';
import {RATIO, firstDifference, partingText, ratioGrid} from './ratios.js';
import {element} from '../basics/dom.js';
import {runLabel} from '../basics/format.js';
import {theme} from '../basics/tensorboard.js';
import {Heatmap} from '../heatmap/heatmap.js';
import {createLegend} from '../heatmap/legend.js';
import {profileOf} from '../heatmap/depth_profile.js';
import {valueAt} from '../heatmap/readout.js';
import {isDomain, makeScale} from '../scales/scale.js';
import {WHOLE} from '../scales/viewport.js';

/** What the ratio is called where runs have names. */
export const COMPARED = '/compare';

/** `node` goes above the heatmaps of the two runs. */
export class Comparison {
  #text = element('p', {role: 'status'});
  #legend;
  #heatmap;
  #grids = [];
  #ratio = null;
  #partingText = '';
  #first = null;
  #go;
  #look = undefined;

  /** @param {Object} actions of `Heatmap`; and `onDomain(domain)` */
  constructor(actions) {
    this.#legend = createLegend({onDomain: actions.onDomain,
      onReset: () => actions.onDomain(undefined),
      onFit: () => actions.onDomain([0.5, 2])});
    this.#go = element('button', {type: 'button', onclick: () =>
      this.#goToFirst(actions)}, 'go there');
    this.#heatmap = new Heatmap({...actions, onOpen: null});
    this.node = element('section', {className: 'comparison', hidden: true,
      'aria-label': 'Comparison'});
  }

  /** Returns the ratio that is drawn. */
  get grid() {
    return this.#ratio;
  }

  /**
   * @param {Object[]} pair the two runs
   * @param {Object} scene see `heatmaps.js`; and `domain` of the ratio
   */
  draw(pair, scene) {
    this.node.hidden = pair.length < 2;
    if (pair.length < 2) {
      this.node.replaceChildren();
      return;
    }
    if (!this.node.firstChild) {
      this.node.append(element('div', {className: 'parting'}, this.#text,
        this.#go), this.#legend.node, this.#heatmap.node);
    }
    const results = pair.map((run) => scene.resultOf(run));
    const grids = results.map(({grid}) => grid);
    const isReady = grids.every((grid) => grid?.rows && !grid.preview);
    if (isReady && grids.some((grid, i) => grid !== this.#grids[i])) {
      this.#grids = grids;
      this.#ratio = ratioGrid(grids[0], grids[1]);
      this.#partingText = partingText(grids[0], grids[1]);
      this.#first = firstDifference(grids[0], grids[1]);
    }
    const ratio = isReady && this.#ratio.rows && this.#ratio.columns
      ? this.#ratio : null;
    const isDefault = !isDomain(scene.domain, 'log');
    const scale = makeScale(
      {...RATIO, domain: isDefault ? RATIO.domain : scene.domain});
    this.#look = lookOf(scale, RATIO, theme(), this.#look);
    const [a, b] = pair.map((run) => runLabel(run.name));
    const text = isReady ? this.#partingText : '';
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#go.hidden = !isReady || !this.#first;
    this.#legend.update({description: RATIO, scale, look: this.#look,
      isDefault, count: outside(ratio ? [ratio] : [], scale)});
    this.#heatmap.update({run: COMPARED, label: `${a} : ${b}`,
      color: 'transparent', grid: ratio, look: this.#look, scale,
      caption: `ratio of ${scene.description.label}, cell by cell`,
      finding: null, isError: false, zoom: scene.zoom, axis: scene.axis,
      message: isReady && !ratio ? this.#partingText
        : results.find(({error}) => error)?.error ?? '',
      isOpen: (name) => scene.unfolded.includes(name),
      openKey: scene.unfolded.join('\n')});
  }

  #goToFirst({onZoom, onCursor}) {
    const {step, name} = this.#first;
    onZoom(WHOLE);
    onCursor({run: COMPARED, row: this.#ratio.named.findIndex(
      (row) => row.name === name), column: this.#ratio.steps.indexOf(step)},
    true);
  }

  setZoom(zoom) {
    this.#heatmap.setZoom(zoom);
  }

  /** Shows the cursor; returns what the readout says if it is here. */
  drawCursor(cursor) {
    const grid = this.#ratio;
    if (this.node.hidden || !grid) return null;
    const text = valueAt(grid, cursor);
    const row = grid.named.findIndex(({name}) => name === cursor?.name);
    this.#heatmap.showCursor(cursor && {...cursor, row}, text);
    const step = cursor?.step ?? grid.steps.at(-1);
    this.#heatmap.showFlow([{run: COMPARED, isOwn: true, color:
      getComputedStyle(this.node).getPropertyValue('--accent'),
    points: profileOf(grid, grid, step)}], `ratio by depth, step ${step}`);
    if (cursor?.run !== COMPARED || !text) return null;
    return {step: cursor.step, label: 'ratio', text, color: 'transparent',
      more: '', row: grid.named[row]};
  }
}
