/** Texts with code between backquotes, and buttons that copy it. */

import {element} from './dom.js';

// How long a button says what it has done.
const ANSWER = 1500;

/**
 * Splits a text at its backquotes, between which there is code.
 * @return {{text: string, isCode: boolean}[]} without empty pieces
 */
export function pieces(text) {
  const parts = text.split('`');
  // A backquote that is never closed is a character like any other.
  if (parts.length % 2 === 0) {
    const last = parts.pop();
    parts.push(`${parts.pop()}\`${last}`);
  }
  return parts.map((part, index) => ({text: part, isCode: index % 2 === 1}))
    .filter(({text: part}) => part);
}

/**
 * Returns a text's nodes.
 * @param {string} text
 * @param {(code: string) => ?Element=} linkOf a node in the place of a code
 */
export function withCode(text, linkOf = () => null) {
  return pieces(text).map(({text: part, isCode}) =>
    isCode ? linkOf(part) ?? element('code', {}, part) : part);
}

/** Shows a text in an element, which is hidden without any. */
export function showCode(node, text) {
  node.hidden = !text;
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  node.replaceChildren(...withCode(text));
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
    // It stays for as long as a user may need to press Ctrl+C.
    else setTimeout(() => field.remove(), 10 * ANSWER);
    return done;
  }
}
