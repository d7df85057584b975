/** Texts with code between backquotes, and buttons that copy it. */

import {element} from '../basics/dom.js';
import {pieces} from './text.js';

// How long a button says what it has done.
const ANSWER = 1500;

/** Returns a text's nodes. */
export function withCode(text) {
  return pieces(text).map(({text: part, isCode}) =>
    isCode ? element('code', {}, part) : part);
}

/** Returns a text's nodes, with a button behind each code. */
export function withCopies(text) {
  return pieces(text).flatMap(({text: part, isCode}) => {
    if (!isCode) return part;
    const code = element('code', {}, part);
    return element('span', {className: 'copied'}, code, copyButton(code));
  });
}

function copyButton(code) {
  return copyable('copy', `Copy ${code.textContent}`, () => code.textContent);
}

/** Returns a button that copies a text, and says whether it could. */
export function copyable(label, title, textOf) {
  const button = element('button', {type: 'button', className: 'copy', title,
    'aria-label': title,
    async onclick() {
      const done = await copy(textOf(), button);
      button.textContent = done ? 'copied' : 'press Ctrl+C';
      setTimeout(() => {
        button.textContent = label;
      }, ANSWER);
    }}, label);
  return button;
}

/** Copies; where a browser does not let us, as it did before. */
async function copy(text, beside) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard without https, unless it is this very machine.
    const field = element('textarea', {value: text, readOnly: true});
    beside.after(field);
    field.select();
    const done = document.execCommand('copy');
    if (done) field.remove();
    else setTimeout(() => field.remove(), 10 * ANSWER);
    return done;
  }
}
