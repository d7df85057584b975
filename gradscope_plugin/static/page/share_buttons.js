/** The buttons that carry the view away. */

import {copyable} from '../basics/code_in_text.js';
import {element} from '../basics/dom.js';

export function createShare({onLink, onPicture}) {
  const link = copyable('copy link', 'Copy link that restores this view',
    onLink);
  const picture = element('button', {type: 'button', onclick: onPicture,
    title: 'Save a picture of this view'}, 'PNG of all');
  return element('div', {className: 'share tools'}, link, picture);
}
