/** Wires the choices, the requests and the pictures together. */

import {FirstRanks, chosenRuns, toDiagnose} from './run_choice.js';
import {COMPARED} from '../comparison/comparison.js';
import {Feed} from '../data/run_list.js';
import {rankOf} from '../findings/text.js';
import {runLabel} from '../basics/format.js';
import {linkedView, theme} from '../basics/tensorboard.js';
import {createModel} from '../data/requests.js';
import {hasNoFlow} from '../heatmap/depth_profile.js';
import {NOTICES} from '../heatmap/notices.js';
import {Outlining} from './finding_outlines.js';
import {buildParts} from './parts.js';
import {CursorAndZoom} from './cursor_and_zoom.js';
import {OpenLayer} from './open_layer.js';
import {Scaling} from './scale_choice.js';
import {createSharedAxis} from './shared_axis.js';
import {createSight} from './in_sight.js';
import {
  DEFAULTS, chooseStatistic, createState, folded, pinned,
  statisticIn,
} from './view_state.js';
import {describe, grouped, statisticsOf} from '../statistics/statistics.js';
import {Thumbnails} from './thumbnails.js';
import {TrainingCurves} from './training_curves.js';
import {statusLines} from './status_lines.js';

// So long after a part of the runs the next is asked for, in ms.
const SOON = 100;

/** The whole page; `node` goes into the document. */
export class Page {
  #model;
  #parts;
  #cursor;
  #layer;
  #state = createState(() => this.show(), undefined,
    linkedView(DEFAULTS) ?? {});
  #feed;
  // Of each run shown: `{statistic, rows, grid, error}`, as last fetched.
  #results = new Map();
  #scaling;
  #thumbnails;
  #curves;
  #outlining;
  #firstRanks = new FirstRanks();
  #again = 0;
  #sight = createSight(() => this.show());
  #axisOf = createSharedAxis();

  /**
   * @param {{runs?: Promise<Response>, names?: Promise<Response>}} first
   *     what was asked for already: `RUNS` and `NAMES` of `data/requests.js`
   */
  constructor({runs, names} = {}) {
    this.#model = createModel(undefined, runs);
    this.#feed = new Feed(this.#model, names);
    const host = {state: this.#state,
      view: () => this.#view, parts: () => this.#parts,
      axis: () => this.#axis(), gridOf: (name) => this.#gridOf(name),
      runOf: (name) => this.#feed.of(name),
      isSeen: (name) => this.#sight.has(name)};
    this.#cursor = new CursorAndZoom(host);
    this.#layer = new OpenLayer(host);
    this.#scaling = new Scaling({view: () => this.#view,
      set: (changes) => this.#state.set(changes),
      legend: () => this.#parts.legend, grids: () => this.#grids()});
    this.#thumbnails = new Thumbnails({model: this.#model,
      isSeen: (run) => this.#sight.has(`card ${run.name}`),
      onNew: () => this.drawCards()});
    this.#curves = new TrainingCurves({model: this.#model,
      onNew: () => this.#drawStrip()});
    this.#outlining = new Outlining({view: () => this.#view,
      parts: () => this.#parts, cursor: this.#cursor,
      gridOf: (run) => this.#result(run).grid});
    this.#parts = buildParts(this.#actions());
    /** Goes into the document. */
    this.node = this.#parts.page;
    for (const event of ['pointerdown', 'keydown', 'wheel']) {
      this.node.addEventListener(event, () => this.#firstRanks.settle(),
        {passive: true});
    }
  }

  /** Returns the actions of the parts of the page, by name. */
  #actions() {
    const set = (changes) => this.#state.set(changes);
    const choose = (name) => set(chooseStatistic(this.#view, name));
    return {
      get: this.#model.get,
      set, choose,
      view: () => this.#view,
      draw: () => this.draw(),
      colorOf: (name) => this.#colorOf(name),
      labelOf: (name) => name === COMPARED ? 'ratio' : runLabel(name),
      statistic: () => describe(this.#view.statistic).label,
      gridOf: (name) => this.#gridOf(name),
      onSeen: (node, name) => this.#sight.observe(node, name),
      onOpenRun: (name) => this.#open(name),
      onShowRun: (name) => this.#showRun(name),
      onEarlier: (name) => (this.#view.solo ? this.#open(name)
        : this.#showRun(name)),
      onPin: (name) => this.#pin(name),
      onDomain: (domain) => this.#scaling.setDomain(domain),
      onFit: () => this.#scaling.fit(),
      onFix: () => this.#scaling.fix(),
      onCursor: (cell, byKey) => this.#cursor.move(cell, byKey),
      onStep: (step) => this.#cursor.toStep(step),
      onZoom: (zoom) => this.#cursor.setZoom(zoom),
      onFold: (block) => this.#fold(block),
      onOpen: (run, row) => this.#layer.openRow(run, row),
      onLayer: (run, layer) => {
        this.#showRun(run);
        this.#layer.open(run, layer);
      },
      onClose: () => this.#layer.close(),
    };
  }

  /** Asks the server which runs there are, then shows them. */
  async reload() {
    const {solo, comparing, pins} = this.#view;
    const isNew = await this.#feed.reload(
      comparing ? pins : solo ? [solo] : []);
    if (isNew === null) return;
    const {runs} = this.#feed;
    if (!isNew) {
      if (this.#feed.isPartial) this.#reloadSoon();
      this.drawCards();
      return;
    }
    if (runs?.length === 1 && !this.#feed.isPartial && !this.#view.cursor) {
      this.#outlining.open(runs[0].name);
    }
    await this.show();
  }

  /** The server tells at once what it knows of many runs, and the rest when it
   * has read it; pictures come first. */
  #reloadSoon() {
    clearTimeout(this.#again);
    this.#again = window.setTimeout(() => {
      // A hidden tab has no height, and is asked again once it is seen.
      if (window.innerHeight > 0) this.reload();
    }, SOON);
  }

  /** Fetches what the view needs; what is on the screen stays until then. */
  async show() {
    this.#prefetch();
    this.draw();
    this.#sight.look();
    // Not before: where it draws a run that was opened, it may choose another
    // statistic.
    const {statistic, rows} = this.#view;
    const {listed, shown} = this.#runChoice();
    const readable = shown.filter((run) => !run.error);
    const inSight = readable.filter((run) => this.#sight.has(run.name)
      || this.#view.comparing || this.#parts.findings.awaits(run));
    let grids = Promise.resolve();
    // A picture comes before the curves, and they before all of its steps.
    await new Promise((resolve) => {
      grids = this.#model.grids(inSight, statistic, rows,
        (run, grid, error) => {
          this.#results.set(run.name, {statistic, rows, grid, error});
          this.draw();
          resolve();
        }, (run) => Boolean(this.#result(run).grid));
      grids.then(resolve, resolve);
    });
    await this.#curves.follow(readable);
    await grids;
    await this.#thumbnails.follow(listed);
    // A diagnosis takes seconds of a large run: the first picture comes first.
    if (readable.length && !inSight.length) return;
    if (this.#feed.isPartial) this.#reloadSoon();
    await this.#parts.findings.follow(toDiagnose(listed, readable,
      (run) => this.#sight.has(`card ${run.name}`),
      (run) => Boolean(this.#parts.findings.of(run))));
  }

  /** Asks for the first picture while the page is drawn. */
  #prefetch() {
    if (this.#results.size || window.innerHeight === 0) return;
    const {statistic, rows} = this.#view;
    // The first run is in sight, wherever the others will be.
    const first = this.#runChoice().shown.find((run) => !run.error);
    if (first) this.#model.prefetch(first, statistic, rows);
  }

  /** Draws what was fetched. */
  draw() {
    const {listed, shown} = this.#runChoice();
    const {statistic, rows, axis} = this.#view;
    const names = shown.flatMap((run) => statisticsOf(run));
    this.#parts.notice.update(this.#noticeFor(shown));
    this.#drawBanner();
    this.#parts.header.hidden = !names.length;
    // Runs without the chosen statistic say so; it must not vanish meanwhile.
    this.#parts.choices.update(
      {groups: grouped([...names, statistic]), statistic, rows, axis});
    const scene = this.#scene(shown);
    const isPart = this.#view.comparing || shown.some(
      (run) => run.name === this.#view.solo);
    this.#parts.findings.draw(listed, shown, isPart, this.#view.folded);
    this.#drawStrip();
    this.#parts.heatmaps.draw(scene);
    this.#parts.comparison.draw(this.#view.comparing ? shown : [], scene);
    this.#outlining.draw(shown);
    this.#layer.draw();
    this.#cursor.draw(false);
    this.drawCards();
  }

  /** Draws the losses and rates of the runs that are shown. */
  #drawStrip() {
    const {zoom, metric, stripFolded, statistic} = this.#view;
    const shown = this.#runChoice().shown.filter((run) => !run.error);
    this.#parts.strip.update({zoom, metric, folded: stripFolded,
      isAwaited: this.#curves.awaits(shown),
      axis: this.#axis(), isWide: hasNoFlow(describe(statistic)),
      spans: shown.flatMap((run) => this.#parts.findings.spansOf(run)),
      runs: shown.filter((run) => this.#curves.of(run.name)).map((run) => ({
        name: run.name, color: this.#colorOf(run.name),
        curves: this.#curves.of(run.name)}))});
  }

  /** Shows what a link says that was followed while the page is there. */
  followLink() {
    const view = linkedView(DEFAULTS);
    if (view) this.#state.set({...DEFAULTS, ...view});
  }

  /** Whether there is no run yet; TensorBoard may still be reading them. */
  get isEmpty() {
    return !this.#feed.runs?.length;
  }

  /** Draws the left column, whose ages grow. */
  drawCards() {
    const {listed, shown, error} = this.#runChoice();
    const {filter, pins, comparing, solo} = this.#view;
    const look = this.#thumbnails.look();
    this.#parts.cards.update({
      items: listed.map((run) => ({run, isShown: shown.includes(run),
        isAlone: solo === run.name, isPinned: pins.includes(run.name),
        color: this.#colorOf(run.name), reply: this.#parts.findings.of(run),
        grid: this.#thumbnails.of(run.name), look})),
      problem: error, text: filter, pins, comparing, isAlone: Boolean(solo)
        || comparing,
      lines: statusLines(shown, this.#feed.runs?.length ?? 0,
        this.#feed.updated, this.#feed.failure)});
  }

  get #view() {
    return this.#state.view;
  }

  #colorOf(name) {
    return this.#feed.colorOf(name, theme());
  }

  #runChoice() {
    const runs = this.#feed.runs ?? [];
    const reply = (run) => this.#parts.findings.of(run);
    const rank = (run) => rankOf(reply(run));
    return chosenRuns(runs, this.#view, rank, this.#firstRanks.of(runs, rank,
      (run) => !this.#feed.isPartial && Boolean(reply(run))));
  }

  /** Returns the result of a run for the present view, or an empty object. */
  #result(run) {
    if (run.error) return {error: run.error};
    const result = this.#results.get(run.name);
    return result?.statistic === this.#view.statistic
      && result.rows === this.#view.rows ? result : {};
  }

  #gridOf(name) {
    if (name === COMPARED) return this.#parts.comparison.grid;
    return this.#results.get(name)?.grid;
  }

  #grids() {
    return this.#runChoice().shown.flatMap(
      (run) => this.#result(run).grid ?? []);
  }

  #axis() {
    const runs = this.#runChoice().shown.filter((run) => !run.error);
    return this.#axisOf(this.#view.axis, runs, this.#grids());
  }

  #scene(shown) {
    const description = describe(this.#view.statistic);
    const scale = this.#scaling.draw(description);
    return {runs: shown, resultOf: (run) => this.#result(run), description,
      earlierOf: (run) => this.#feed.runs.find(
        ({earlier_in: later}) => later === run.name),
      alarmOf: (run) => this.#parts.findings.of(run)?.nonfinite ?? '',
      rows: this.#view.rows, look: this.#scaling.look, scale,
      axis: this.#axis(),
      colorOf: (name) => this.#colorOf(name), zoom: this.#view.zoom,
      unfolded: this.#view.unfolded, domain: this.#view.domains[COMPARED]};
  }

  #noticeFor(shown) {
    if (this.#feed.failure && !this.#feed.runs) {
      return {...NOTICES.unreachable, lines: [this.#feed.failure]};
    }
    if (!this.#feed.runs) return NOTICES.loading;
    if (!this.#feed.runs.length) return NOTICES.noRuns;
    return shown.length ? null : NOTICES.noneChosen;
  }

  /** What was read stays while the server is away. */
  #drawBanner() {
    const isAway = Boolean(this.#feed.failure && this.#feed.runs);
    if (this.#parts.banner.hidden === !isAway) return;
    this.#parts.banner.hidden = !isAway;
    this.#parts.banner.textContent = isAway
      ? 'TensorBoard does not answer. The page shows the data read before, '
        + 'and tries again every few seconds.' : '';
  }

  #open(name) {
    const isOpen = this.#view.solo === name;
    this.#outlining.open(isOpen ? '' : name);
    this.#state.set({solo: isOpen ? null : name, comparing: false});
    window.scrollTo({top: 0});
  }

  #showRun(name) {
    if (this.#runChoice().shown.some((run) => run.name === name)) return;
    this.#state.set({checked: {...this.#view.checked, [name]: true}});
  }

  #pin(name) {
    const pins = pinned(this.#view.pins, name);
    this.#state.set({pins,
      comparing: this.#view.comparing && pins.length === 2});
  }

  #fold(block) {
    // Of what is on the screen, also while another statistic is on its way.
    const all = this.#runChoice().shown.flatMap(
      (run) => this.#gridOf(run.name)?.blocks ?? []).map(({name}) => name);
    const next = folded(this.#view.unfolded, block, all);
    this.#state.note({unfolded: next});
    this.draw();
  }
}
