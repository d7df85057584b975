/** What is shown where there is no heatmap. */

import {copyable} from '../basics/code_in_text.js';
import {element} from '../basics/dom.js';

export function createNotice() {
  const node = element('div', {className: 'notice', role: 'status'});
  return {
    node,

    /** @param {?{title: string, lines?: string[], code?: string}} notice */
    update(notice) {
      node.hidden = !notice;
      if (!notice) return;
      const {title, lines = [], code} = notice;
      node.replaceChildren(element('h2', {}, title),
        ...lines.map((line) => element('p', {}, line)));
      if (code) {
        node.append(element('pre', {}, element('code', {}, code)),
          copyable('copy', 'Copy these lines', () => code));
      }
    },
  };
}
