/** The curve by depth with names, legend and room, below its heatmap. */

import {element} from '../basics/dom.js';
import {shorten} from '../basics/format.js';
import {DASHES, curvesOf, drawFlow} from './depth_profile.js';
import {drawFlowAxis} from './elements.js';

// Height of a row, and of all where there are thousands.
const ROW = 14;
const MOST = 6000;

/*
 * <section class="profile"><div class="profile-head"><h3>gradient norm by depth,
 *   step 9</h3> <span>kernel</span>… <button class="close">close</button></div>
 *   <div class="profile-body"><div class="profile-names"><span>dense_1</span>…
 *   </div><div class="profile-area"><canvas></canvas></div>
 *   <div class="profile-axis">…</div></div></section>
 */
export function createProfilePanel(onClose) {
  const title = element('h3');
  const keys = element('span', {className: 'profile-keys'});
  const names = element('div', {className: 'profile-names'});
  const canvas = element('canvas');
  const area = element('div', {className: 'profile-area', role: 'img'}, canvas);
  const axis = element('div', {className: 'profile-axis',
    'aria-hidden': 'true'});
  const close = element('button', {type: 'button', className: 'close',
    onclick: onClose}, 'close');
  const node = element('section', {className: 'profile', hidden: true,
    'aria-label': 'Curve by depth'},
  element('div', {className: 'profile-head'}, title, keys, close),
  element('div', {className: 'profile-body', tabIndex: 0}, names, area, axis));
  let named = null;
  let drawn = null;
  const draw = () => {
    if (drawn && !node.hidden) drawCurves(canvas, drawn);
  };
  new ResizeObserver(draw).observe(area);
  return {
    node,

    /**
     * @param {{grid: Object, profiles: Object[], scale: Object,
     *     title: string}} now
     */
    update({grid, profiles, scale, title: text}) {
      if (node.hidden) return;
      const height = Math.min(MOST, ROW * grid.rows);
      title.textContent = text;
      area.style.height = names.style.height = `${height}px`;
      area.setAttribute('aria-label', text);
      if (named !== grid.named) {
        named = grid.named;
        names.replaceChildren(...namesOf(named, height));
      }
      const profile = profiles.find(({isOwn}) => isOwn);
      const curves = profile ? curvesOf(profile.points) : [];
      keys.replaceChildren(...curves.length > 1 ? curves.map(keyOf) : []);
      drawFlowAxis(axis, scale);
      drawn = {profiles, scale, height, rows: grid.rows};
      draw();
    },
  };
}

function namesOf(named, height) {
  const space = height / named.length;
  const stride = Math.ceil(13 / space);
  return named.flatMap(({name}, row) => {
    if (row % stride) return [];
    const node = element('span', {title: name}, shorten(name, 28));
    node.style.top = `${(row + 0.5) * space}px`;
    return [node];
  });
}

/** A kind of rows and how its curve is drawn. */
function keyOf({group}, index) {
  const swatch = element('canvas', {width: 26, height: 8,
    'aria-hidden': 'true'});
  const context = swatch.getContext('2d');
  context.setLineDash(DASHES[index]);
  context.strokeStyle = '#888';
  context.lineWidth = 2;
  context.moveTo(0, 4);
  context.lineTo(26, 4);
  context.stroke();
  return element('span', {className: 'key'}, swatch, group || 'others');
}

function drawCurves(canvas, {profiles, scale, height, rows}) {
  const width = canvas.parentElement.clientWidth;
  if (!width) return;
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  const style = getComputedStyle(canvas.parentElement);
  drawFlow(canvas, profiles, {scale, density,
    yOf: (row) => (row + 0.5) * height / rows,
    colors: {grid: style.borderLeftColor, ink: style.color}});
}
