/** Texts with code between backquotes, and buttons that copy it. */

import {element} from './dom.js';
import {pieces} from './finding_text.js';

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
  const button = element('button', {type: 'button', className: 'copy',
    'aria-label': `Copy ${code.textContent}`,
    async onclick() {
      const done = await copy(code);
      button.textContent = done ? 'copied' : 'press Ctrl+C';
      setTimeout(() => {
        button.textContent = 'copy';
      }, ANSWER);
    }}, 'copy');
  return button;
}

/** Copies; where a browser does not let us, selects, for the user to copy. */
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    // No clipboard without https, unless it is this very machine.
    const range = document.createRange();
    range.selectNodeContents(code);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand('copy');
  }
}
