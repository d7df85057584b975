/** The entry of a report: the page, answered from the file that it is in. */

import {openArchive} from './archive.js';
import {createSource} from './source.js';
import {followSurroundings} from './surroundings.js';
import {answerFrom} from '../data/requests.js';
import {element} from '../basics/dom.js';
import {withCode} from '../basics/code_in_text.js';
import {followLinks} from '../basics/tensorboard.js';
import {declareAll} from '../statistics/statistics.js';
import {Page} from '../page/page.js';

const TOO_OLD = 'This browser is too old for the report. It needs Chrome 103, '
  + 'Firefox 113, Safari 16.4, or a later one.';

export async function render() {
  if (!('DecompressionStream' in window)) {
    document.body.append(element('p', {className: 'error'}, TOO_OLD));
    return;
  }
  const archive = await openArchive(bytesOf(textOf('archive')));
  answerFrom(createSource(archive));
  declareAll(JSON.parse(textOf('statistics')));
  const page = new Page();
  document.body.append(headOf(archive.about), page.node);
  followSurroundings(() => page.draw());
  followLinks(() => page.followLink());
  await page.reload();
}

function textOf(id) {
  return document.getElementById(id).textContent;
}

/** Returns the bytes that base64 stands for. */
function bytesOf(text) {
  // Twice as fast, in browsers of 2025 and later.
  const {fromBase64} = /** @type {any} */ (Uint8Array);
  if (fromBase64) return fromBase64.call(Uint8Array, text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/* <header class="report"><b>Gradscope</b> logs
 *   <small>written 2026-11-30 12:00 by gradscope 0.1.0</small>
 *   <details><summary>thinned out</summary><p>…</p></details></header> */
function headOf({title, written, version, notes, brief}) {
  const details = element('details', {},
    element('summary', {}, brief),
    ...notes.map((note) => element('p', {}, ...withCode(note))));
  return element('header', {className: 'report'},
    element('b', {}, 'Gradscope'), ` ${title} `,
    element('small', {}, `written ${written} by gradscope ${version}`),
    notes.length ? details : element('small', {}, brief));
}
